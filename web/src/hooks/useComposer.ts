/** What is being written in a conversation: the draft, what it answers or corrects, and sending it. */

import { notifications } from "@mantine/notifications";
import { useCallback, useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { checkFiles, FILE_BYTES_MAX, FILES_MAX } from "../components/chat/files";
import { byteSize } from "../components/chat/format";
import type { MessageView } from "../service/chat/model";
import { useAction } from "./useAction";
import { useChatStore } from "./useChat";
import { usePageFeature } from "./usePageConnection";
import type { Voice } from "./useVoiceRecorder";

export interface Draft {
  readonly text: string;
  readonly files: readonly File[];
  readonly important: boolean;
  readonly internal: boolean;
}

export interface Target {
  readonly kind: "reply" | "edit";
  readonly message: MessageView;
}

const EMPTY: Draft = { text: "", files: [], important: false, internal: false };

/** What was written and not sent, by conversation, as long as the page of the chat is there. */
export type Drafts = Map<string, Draft>;

export interface Composing {
  readonly draft: Draft;
  readonly target: Target | undefined;
  change(more: Partial<Draft>): void;
  addFiles(files: readonly File[]): void;
  removeFile(file: File): void;
  reply(message: MessageView): void;
  edit(message: MessageView): void;
  cancel(): void;
  submit(): void;
  sendVoice(voice: Voice): void;
}

export function useComposer(conversationId: string, drafts: Drafts): Composing {
  const { t, i18n } = useTranslation("chat");
  const store = useChatStore();
  const run = useAction();
  const tellsTyping = usePageFeature("typing_indicator");
  const [draft, setDraft] = useState(() => drafts.get(conversationId) ?? EMPTY);
  const [target, setTarget] = useState<Target>();
  /** What was being written when an edit began. */
  const aside = useRef(EMPTY);

  const set = useCallback(
    (next: Draft) => {
      setDraft(next);
      drafts.set(conversationId, next);
    },
    [conversationId, drafts],
  );

  const cancel = (): void => {
    if (target?.kind === "edit") {
      set(aside.current);
    }
    setTarget(undefined);
  };

  /** Notes have no files and answer nothing; nothing that is there already is dropped without a word. */
  const refuse = (): void => {
    notifications.show({ color: "red", message: t("note_is_text") });
  };

  const addFiles = (chosen: readonly File[]): void => {
    if (draft.internal) {
      refuse();
      return;
    }
    const { good, refused } = checkFiles(chosen, draft.files.length);
    for (const { file, why } of refused) {
      const limit = byteSize(FILE_BYTES_MAX, i18n.language);
      notifications.show({ color: "red", message: t(why, { name: file.name, limit, count: FILES_MAX }) });
    }
    set({ ...draft, files: [...draft.files, ...good] });
  };

  const send = (): void => {
    const text = draft.text.trim();
    const shared = {
      ...(draft.important ? { important: true } : {}),
      ...(draft.internal ? { internal: true } : {}),
    };
    const replyTo = target?.kind === "reply" ? { replyTo: target.message.id } : {};
    const [first, ...others] = draft.files;
    // One file is one message; the text goes with the first.
    store.send(conversationId, { text, ...shared, ...replyTo, ...(first ? { file: first } : {}) });
    for (const file of others) {
      store.send(conversationId, { text: "", ...shared, file });
    }
    set({ ...EMPTY, internal: draft.internal });
    setTarget(undefined);
  };

  const save = async (message: MessageView, text: string): Promise<void> => {
    cancel();
    if (text !== message.content) {
      await run(() => store.edit(message.id, text));
    }
  };

  const composing: Composing = {
    draft,
    target,
    change: (more) => {
      if (more.internal && (draft.files.length > 0 || target !== undefined)) {
        refuse();
        return;
      }
      set({ ...draft, ...more, ...(more.internal ? { important: false } : {}) });
      if (tellsTyping && more.text && target?.kind !== "edit" && !draft.internal) {
        store.typing(conversationId);
      }
    },
    addFiles,
    removeFile: (file) => set({ ...draft, files: draft.files.filter((one) => one !== file) }),
    reply: (message) => {
      if (draft.internal && target === undefined) {
        refuse();
        return;
      }
      cancel();
      setTarget({ kind: "reply", message });
    },
    edit: (message) => {
      if (target?.kind !== "edit") {
        aside.current = draft;
      }
      setDraft({ ...EMPTY, text: message.content });
      setTarget({ kind: "edit", message });
    },
    cancel,
    submit: () => {
      const text = draft.text.trim();
      if (target?.kind === "edit") {
        if (text !== "") {
          void save(target.message, text);
        }
      } else if (text !== "" || draft.files.length > 0) {
        send();
      }
    },
    sendVoice: (voice) => {
      const replyTo = target?.kind === "reply" ? { replyTo: target.message.id } : {};
      store.send(conversationId, { text: "", voice, ...replyTo });
      setTarget(undefined);
    },
  };
  return composing;
}

/** Drafts that live as long as the component. */
export function useDrafts(): Drafts {
  return useMemo(() => new Map(), []);
}
