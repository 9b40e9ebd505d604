/** The last question before everybody is told; after a lost answer the same broadcast may be sent again and is told once. */

import { Alert, Button, Group, Modal, Stack, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useAdmin } from "../../hooks/useAdmin";
import { codeOf, useWhy } from "../../hooks/useWhy";
import { type BroadcastForm, draftOf } from "../../service/admin/broadcast";
import classes from "./Admin.module.css";

interface Props {
  readonly form: BroadcastForm;
  /** The same for the same broadcast. */
  readonly sendKey: string;
  readonly onClose: () => void;
  readonly onSent: () => void;
}

export function BroadcastConfirm({ form, sendKey, onClose, onSent }: Props) {
  const { t } = useTranslation("admin");
  const admin = useAdmin();
  const why = useWhy();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const roles = form.roles.map((role) => t(`role.${role}`));
  const audience = form.audience === "everybody" ? t("broadcast.everybody") : roles.join(", ");

  const send = async (): Promise<void> => {
    setBusy(true);
    setError(undefined);
    try {
      const { recipients } = await admin.broadcast(draftOf(form), sendKey);
      notifications.show({ color: "teal", message: t("broadcast.sent", { count: recipients }) });
      onSent();
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };

  return (
    <Modal opened onClose={onClose} title={t("broadcast.confirm")} centered>
      <Stack>
        <Text size="sm">{t("broadcast.confirm_hint", { audience })}</Text>
        <div className={classes.card}>
          <Text fw={600} className={classes.text}>
            {form.title}
          </Text>
          <Text size="sm" lineClamp={8} className={classes.text}>
            {form.content}
          </Text>
        </div>
        {error !== undefined && (
          <Alert color="red" variant="light" role="alert">
            {codeOf(error) === "network" ? t("broadcast.failed_unsure") : t("broadcast.failed", { why: why(error) })}
          </Alert>
        )}
        <Group justify="flex-end">
          <Button variant="default" data-autofocus onClick={onClose}>
            {t("cancel")}
          </Button>
          <Button loading={busy} {...(form.important && { color: "red.8" })} onClick={() => void send()}>
            {t("broadcast.send")}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
