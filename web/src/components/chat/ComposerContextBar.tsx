/** Above the field: which message is answered or corrected. */

import { CloseButton, Text } from "@mantine/core";
import { IconArrowBackUp, IconPencil } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import type { Target } from "../../hooks/useComposer";
import classes from "./Composer.module.css";
import { summary } from "./summary";

interface Props {
  readonly target: Target | undefined;
  readonly onCancel: () => void;
}

export function ComposerContextBar({ target, onCancel }: Props) {
  const { t } = useTranslation("chat");
  if (target === undefined) {
    return null;
  }
  const { kind, message } = target;
  const Icon = kind === "edit" ? IconPencil : IconArrowBackUp;
  const name = message.mine ? t("you") : message.senderName;
  return (
    <div className={classes.context}>
      <Icon size={18} aria-hidden />
      <div className={classes.contextText}>
        <Text size="xs" fw={650}>
          {kind === "edit" ? t("editing") : t("reply_to", { name })}
        </Text>
        <Text size="xs" c="dimmed" truncate>
          {summary(t, message, [])}
        </Text>
      </div>
      <CloseButton size="sm" onClick={onCancel} aria-label={t(kind === "edit" ? "cancel_edit" : "cancel_reply")} />
    </div>
  );
}
