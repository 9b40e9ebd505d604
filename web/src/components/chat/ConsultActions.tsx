/** What can be done with a consult: who has it hands it over or closes it; its customer closes it. */

import { Autocomplete, Button, Group, Modal, Stack } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { modals } from "@mantine/modals";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { useAction } from "../../hooks/useAction";
import { useChat, useChatStore } from "../../hooks/useChat";
import type { ConversationView, Me } from "../../service/chat/model";
import classes from "./Chat.module.css";
import { isCustomer } from "./ConversationList";

interface Props {
  readonly conversation: ConversationView;
  readonly me: Me;
}

export function ConsultActions({ conversation, me }: Props) {
  const { t } = useTranslation("chat");
  const store = useChatStore();
  const run = useAction();
  const [handing, { open, close }] = useDisclosure(false);
  const { id, consult } = conversation;
  const has = consult?.state === "taken" && consult.consultantId === me.userId;
  if (consult === undefined || consult.state === "closed" || !(has || isCustomer(me))) {
    return null;
  }
  const end = (): void =>
    void modals.openConfirmModal({
      title: t("consult.close_title"),
      children: t("consult.close_text"),
      labels: { confirm: t("consult.close"), cancel: t("cancel", { ns: "common" }) },
      onConfirm: () => void run(() => store.consult.close(id)),
    });
  return (
    <Group gap={6} wrap="nowrap" className={classes.consult}>
      {has && (
        <Button size="compact-sm" variant="default" onClick={open}>
          {t("consult.hand_over")}
        </Button>
      )}
      <Button size="compact-sm" variant="default" onClick={end}>
        {t("consult.close")}
      </Button>
      <Modal opened={handing} onClose={close} title={t("consult.hand_over")} centered>
        {handing && <HandOver conversation={conversation} me={me} onDone={close} />}
      </Modal>
    </Group>
  );
}

function HandOver({ conversation, me, onDone }: Props & { readonly onDone: () => void }) {
  const { t } = useTranslation("chat");
  const store = useChatStore();
  const run = useAction();
  const conversations = useChat((snapshot) => snapshot.conversations);
  const [userId, setUserId] = useState("");
  const [busy, setBusy] = useState(false);
  const inHere = new Set(conversation.people.map((person) => person.userId));
  const known = conversations.flatMap((one) => one.people.map((person) => person.userId));
  const others = [...new Set(known)].filter((id) => id !== me.userId && !inHere.has(id)).sort();

  const handOver = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    const done = await run(() => store.consult.handOver(conversation.id, userId.trim()));
    setBusy(false);
    if (done) {
      onDone();
    }
  };

  return (
    <form onSubmit={(event) => void handOver(event)}>
      <Stack>
        <Autocomplete
          data-autofocus
          label={t("consult.hand_over_to")}
          description={t("consult.hand_over_hint")}
          value={userId}
          onChange={setUserId}
          data={others}
          required
        />
        <Button type="submit" loading={busy} disabled={userId.trim() === ""}>
          {t("consult.hand_over")}
        </Button>
      </Stack>
    </form>
  );
}
