/** What became of an own message, as a small mark that screen readers can read. */

import { IconAlertCircle, IconCheck, IconChecks, IconClock } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import type { Progress } from "../../service/chat/model";
import classes from "./Message.module.css";

const ICONS = {
  sending: IconClock,
  sent: IconCheck,
  delivered: IconChecks,
  read: IconChecks,
  failed: IconAlertCircle,
} as const;

export function ProgressMark({ progress }: { readonly progress: Progress }) {
  const { t } = useTranslation("chat");
  const Icon = ICONS[progress];
  const label = t(`progress.${progress}`);
  return (
    <span role="img" aria-label={label} title={label} className={classes.progress} data-progress={progress}>
      <Icon size={15} stroke={2.2} aria-hidden />
    </span>
  );
}
