/** A customer asks for somebody: a few words, and a conversation that waits. */

import { Button, Modal, Stack, Text, Textarea } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { type FormEvent, type ReactNode, useState } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { useAction } from "../../hooks/useAction";
import { useChatStore } from "../../hooks/useChat";

const SUBJECT_MAX = 120;

export function AskForSomebody({ children }: { readonly children: (open: () => void) => ReactNode }) {
  const { t } = useTranslation("chat");
  const store = useChatStore();
  const run = useAction();
  const navigate = useNavigate();
  const [opened, { open, close }] = useDisclosure(false);
  const [subject, setSubject] = useState("");
  const [busy, setBusy] = useState(false);

  const ask = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    const done = await run(async () => {
      const id = await store.consult.open(subject.trim());
      void navigate(`/chat/${encodeURIComponent(id)}`);
    });
    setBusy(false);
    if (done) {
      setSubject("");
      close();
    }
  };

  return (
    <>
      {children(open)}
      <Modal opened={opened} onClose={close} title={t("ask")} centered>
        <form onSubmit={(event) => void ask(event)}>
          <Stack>
            <Text size="sm" c="dimmed">
              {t("ask_hint")}
            </Text>
            <Textarea
              data-autofocus
              label={t("ask_subject")}
              value={subject}
              onChange={(event) => setSubject(event.currentTarget.value)}
              maxLength={SUBJECT_MAX}
              autosize
              minRows={2}
              required
            />
            <Button type="submit" loading={busy} disabled={subject.trim() === ""}>
              {t("ask_send")}
            </Button>
          </Stack>
        </form>
      </Modal>
    </>
  );
}
