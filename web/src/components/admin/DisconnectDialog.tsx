/** Asks which of a user's sockets are to be closed, and closes them. */

import { Button, Group, Modal, Radio, Stack, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { useAction } from "../../hooks/useAction";
import { useAdmin } from "../../hooks/useAdmin";
import type { AdminConnection } from "../../service/admin/model";

interface Props {
  readonly connection: AdminConnection;
  readonly onClose: () => void;
  /** Says which connections were told to close. */
  readonly onDone: (gone: (one: AdminConnection) => boolean) => void;
}

type Which = "this" | "all";

export function DisconnectDialog({ connection, onClose, onDone }: Props) {
  const { t } = useTranslation("admin");
  const admin = useAdmin();
  const run = useAction();
  const [which, setWhich] = useState<Which>("this");
  const [busy, setBusy] = useState(false);
  // One per choice and dialog: a second click after an answer that was lost closes nothing that came back meanwhile.
  const keys = useRef<Readonly<Record<Which, string>>>({ this: crypto.randomUUID(), all: crypto.randomUUID() });
  const { user_id: userId, connection_id: connectionId } = connection;

  const disconnect = async (): Promise<void> => {
    setBusy(true);
    const done = await run(async () => {
      const wish = which === "this" ? { userId, connectionId } : { userId };
      const count = await admin.disconnect(wish, keys.current[which]);
      const message =
        count === undefined
          ? t("connections.done_unknown", { user: userId })
          : t("connections.done", { user: userId, count });
      notifications.show({ color: "teal", message });
    });
    setBusy(false);
    if (!done) return;
    onDone((one) => one.user_id === userId && (which === "all" || one.connection_id === connectionId));
    onClose();
  };

  return (
    <Modal opened onClose={onClose} title={t("connections.dialog", { user: userId })} centered>
      <Stack>
        <Radio.Group label={t("connections.which")} value={which} onChange={(value) => setWhich(value as Which)}>
          <Stack gap="xs" mt="xs">
            <Radio
              value="this"
              data-autofocus
              label={t("connections.this", {
                device: t(`device.${connection.device_type}`),
                edge: connection.edge_id,
              })}
            />
            <Radio value="all" label={t("connections.all")} />
          </Stack>
        </Radio.Group>
        <Text size="sm" c="dimmed">
          {t("connections.dialog_hint")}
        </Text>
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            {t("cancel")}
          </Button>
          <Button color="red.8" loading={busy} onClick={() => void disconnect()}>
            {t("connections.disconnect")}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
