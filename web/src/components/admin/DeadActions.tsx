/** Tries dead letters again, or gives them up after asking: those that are chosen, or all. */

import { Button, Group, Modal, Stack, Text } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import type { DeadChoice } from "../../service/admin/model";

interface Props {
  readonly selected: readonly number[];
  /** Without a choice: all that there are. */
  readonly mayAll: boolean;
  readonly onAct: (how: "replay" | "drop", which: DeadChoice) => Promise<void>;
}

export function DeadActions({ selected, mayAll, onAct }: Props) {
  const { t } = useTranslation("admin");
  const [busy, setBusy] = useState(false);
  const [dropping, setDropping] = useState<DeadChoice>();
  const count = selected.length;
  const which: DeadChoice = count === 0 ? "all" : selected;
  const disabled = busy || (count === 0 && !mayAll);

  const act = async (how: "replay" | "drop", choice: DeadChoice): Promise<void> => {
    setBusy(true);
    await onAct(how, choice);
    setBusy(false);
    setDropping(undefined);
  };

  return (
    <Group gap="sm">
      {count > 0 && (
        <Text size="sm" role="status">
          {t("dead.selected", { count })}
        </Text>
      )}
      <Button size="sm" variant="default" disabled={disabled} onClick={() => void act("replay", which)}>
        {t(count === 0 ? "dead.replay_all" : "dead.replay")}
      </Button>
      <Button size="sm" variant="filled" color="red.8" disabled={disabled} onClick={() => setDropping(which)}>
        {t(count === 0 ? "dead.drop_all" : "dead.drop")}
      </Button>
      <Modal
        opened={dropping !== undefined}
        onClose={() => setDropping(undefined)}
        centered
        title={count === 0 ? t("dead.drop_confirm_all") : t("dead.drop_confirm", { count })}
      >
        <Stack>
          <Text size="sm">{t("dead.drop_hint")}</Text>
          <Group justify="flex-end">
            <Button variant="default" data-autofocus onClick={() => setDropping(undefined)}>
              {t("cancel")}
            </Button>
            <Button color="red.8" loading={busy} onClick={() => dropping !== undefined && void act("drop", dropping)}>
              {t("dead.drop")}
            </Button>
          </Group>
        </Stack>
      </Modal>
    </Group>
  );
}
