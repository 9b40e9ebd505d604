/** What the rows of a conversation can ask for, as one object that stays the same. */

import { modals } from "@mantine/modals";
import { notifications } from "@mantine/notifications";
import { useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import type { MessageActions } from "../components/chat/actions";
import type { AttachmentView, ChatStore } from "../service/chat/model";
import { useAction } from "./useAction";
import { useChatStore } from "./useChat";
import type { Composing } from "./useComposer";

/** How far back a quoted message is looked for. */
const PAGES_MAX = 12;

export interface Jump {
  readonly key: string;
  readonly count: number;
}

export function useMessageCommands(
  conversationId: string,
  composing: Composing,
  show: (image: AttachmentView) => void,
): { actions: MessageActions; jump: Jump | undefined } {
  const { t } = useTranslation("chat");
  const store = useChatStore();
  const run = useAction();
  const [jump, setJump] = useState<Jump>();
  /** The newest one, without making new actions of it. */
  const latest = useRef(composing);
  latest.current = composing;

  const actions = useMemo<MessageActions>(
    () => ({
      reply: (message) => latest.current.reply(message),
      edit: (message) => latest.current.edit(message),
      copy: (message) =>
        void run(async () => {
          await navigator.clipboard.writeText(message.content);
          notifications.show({ message: t("copied"), autoClose: 1500 });
        }),
      remove: (message) =>
        modals.openConfirmModal({
          title: t("delete_title"),
          children: t("delete_text"),
          labels: { confirm: t("delete"), cancel: t("cancel", { ns: "common" }) },
          confirmProps: { color: "red.8" },
          onConfirm: () => void run(() => store.remove(message.id)),
        }),
      retry: (message) => store.retry(message.key),
      discard: (message) => store.discard(message.key),
      jump: (messageId) =>
        void run(async () => {
          const key = await findMessage(store, conversationId, messageId);
          if (key === undefined) {
            notifications.show({ message: t("quoted_not_loaded") });
          } else {
            setJump((before) => ({ key, count: (before?.count ?? 0) + 1 }));
          }
        }),
      show,
    }),
    [store, run, t, conversationId, show],
  );
  return { actions, jump };
}

/** The key of a message that is shown, or can be after older ones were loaded. */
async function findMessage(store: ChatStore, conversationId: string, messageId: string): Promise<string | undefined> {
  for (let page = 0; page <= PAGES_MAX; page++) {
    const timeline = store.snapshot().timelines[conversationId];
    const found = timeline?.messages.find((message) => message.id === messageId);
    if (found !== undefined || !timeline?.hasOlder) {
      return found?.key;
    }
    await store.loadOlder(conversationId);
  }
  return undefined;
}
