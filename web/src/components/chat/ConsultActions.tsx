/** What can be done with a consult: who has it hands it over or closes it; its customer closes it. */

import { Autocomplete, Button, Modal, Stack } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { modals } from "@mantine/modals";
import { type FormEvent, type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import { useAction } from "../../hooks/useAction";
import { useChat, useChatStore } from "../../hooks/useChat";
import type { ConversationView, Me } from "../../service/chat/model";
import { isCustomer } from "./ConversationList";

interface Props {
  readonly conversation: ConversationView;
  readonly me: Me;
}

export interface ConsultStep {
  readonly text: "consult.hand_over" | "consult.close";
  readonly run: () => void;
}

/** The steps that this user can take now, and the dialog that one of them opens. */
export function useConsultSteps({ conversation, me }: Props): { steps: readonly ConsultStep[]; dialog: ReactNode } {
  const { t } = useTranslation("chat");
  const store = useChatStore();
  const run = useAction();
  const [handing, { open, close }] = useDisclosure(false);
  const { id, consult, member } = conversation;
  const has = consult?.state === "taken" && consult.consultantId === me.userId;
  const ends = (): void =>
    void modals.openConfirmModal({
      title: t("consult.close_title"),
      children: t("consult.close_text"),
      labels: { confirm: t("consult.close"), cancel: t("cancel", { ns: "common" }) },
      onConfirm: () => void run(() => store.consult.close(id)),
    });
  const going = member && consult !== undefined && consult.state !== "closed";
  const steps: ConsultStep[] = [
    ...(going && has ? [{ text: "consult.hand_over", run: open } as const] : []),
    ...(going && (has || isCustomer(me)) ? [{ text: "consult.close", run: ends } as const] : []),
  ];
  const dialog = (
    <Modal opened={handing} onClose={close} title={t("consult.hand_over")} centered>
      {handing && <HandOver conversation={conversation} me={me} onDone={close} />}
    </Modal>
  );
  return { steps, dialog };
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
