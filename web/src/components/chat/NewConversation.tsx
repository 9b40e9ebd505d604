/** Begins a conversation with people that one names. */

import { ActionIcon, Button, Modal, Stack, TagsInput, TextInput } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { IconEdit } from "@tabler/icons-react";
import { type FormEvent, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { useAction } from "../../hooks/useAction";
import { useChat, useChatStore } from "../../hooks/useChat";

const TITLE_MAX = 120;

export function NewConversation() {
  const { t } = useTranslation("chat");
  const [opened, { open, close }] = useDisclosure(false);
  return (
    <>
      <ActionIcon variant="subtle" color="gray" size="lg" radius="xl" onClick={open} aria-label={t("new_chat")}>
        <IconEdit size={20} />
      </ActionIcon>
      <Modal opened={opened} onClose={close} title={t("new_chat")} centered>
        {opened && <Form onDone={close} />}
      </Modal>
    </>
  );
}

function Form({ onDone }: { readonly onDone: () => void }) {
  const { t } = useTranslation("chat");
  const store = useChatStore();
  const run = useAction();
  const navigate = useNavigate();
  const known = useKnownPeople();
  const [people, setPeople] = useState<string[]>([]);
  const [title, setTitle] = useState("");
  const [busy, setBusy] = useState(false);

  const start = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    const done = await run(async () => {
      const id = await store.start(people, title.trim() || undefined);
      void navigate(`/chat/${encodeURIComponent(id)}`);
    });
    setBusy(false);
    if (done) {
      onDone();
    }
  };

  return (
    <form onSubmit={(event) => void start(event)}>
      <Stack>
        <TagsInput
          data-autofocus
          label={t("new_chat_people")}
          description={t("new_chat_people_hint")}
          value={people}
          onChange={setPeople}
          data={known}
          acceptValueOnBlur
        />
        <TextInput
          label={t("new_chat_title")}
          value={title}
          onChange={(event) => setTitle(event.currentTarget.value)}
          maxLength={TITLE_MAX}
        />
        <Button type="submit" loading={busy} disabled={people.length === 0}>
          {t("new_chat_start")}
        </Button>
      </Stack>
    </form>
  );
}

/** Ids of everybody whom one shares a conversation with. */
function useKnownPeople(): string[] {
  const conversations = useChat((snapshot) => snapshot.conversations);
  const ownId = useChat((snapshot) => snapshot.me.userId);
  return useMemo(() => {
    const ids = conversations.flatMap((conversation) => conversation.people.map((person) => person.userId));
    return [...new Set(ids)].filter((id) => id !== ownId).sort();
  }, [conversations, ownId]);
}
