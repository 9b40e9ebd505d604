/** Gives components the part of the chat's snapshot that they show, so that one message does not render everything. */

import { createContext, useCallback, useContext, useSyncExternalStore } from "react";
import type { ChatSnapshot, ChatStore, ConversationView, TimelineView } from "../service/chat/model";

export const ChatContext = createContext<ChatStore | null>(null);

/** What a user can do. Throws outside of a `<ChatContext>`. */
export function useChatStore(): ChatStore {
  const store = useContext(ChatContext);
  if (store === null) {
    throw new Error("useChatStore needs <ChatContext value={store}> above it");
  }
  return store;
}

/** `select` must give the same object as long as nothing changed: a part of the snapshot, not something made of it. */
export function useChat<T>(select: (snapshot: ChatSnapshot) => T): T {
  const store = useChatStore();
  return useSyncExternalStore(
    useCallback((listener) => store.subscribe(listener), [store]),
    () => select(store.snapshot()),
  );
}

/** A conversation by its id, from one's own or from the queue. */
export function useConversation(id: string | undefined): ConversationView | undefined {
  return useChat((snapshot) => {
    const same = (conversation: ConversationView): boolean => conversation.id === id;
    return snapshot.conversations.find(same) ?? snapshot.queue.find(same);
  });
}

export function useTimeline(conversationId: string): TimelineView | undefined {
  return useChat((snapshot) => snapshot.timelines[conversationId]);
}
