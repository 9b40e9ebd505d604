/** Messages and conversations with everything filled in, so that a test names only what it is about. */

import type { ConversationView, MessageView } from "../service/chat/model";

export function message(more: Partial<MessageView> = {}): MessageView {
  const seq = more.seq ?? 1;
  return {
    id: `m${seq}`,
    key: `m${seq}`,
    conversationId: "c1",
    seq,
    senderId: "anna",
    senderName: "Anna",
    mine: false,
    kind: "text",
    content: `text ${seq}`,
    at: Date.UTC(2026, 4, 20, 12),
    progress: "sent",
    edited: false,
    deleted: false,
    important: false,
    internal: false,
    ...more,
  };
}

export function conversation(more: Partial<ConversationView> = {}): ConversationView {
  return {
    id: "c1",
    title: "Anna",
    people: [],
    unread: 0,
    at: Date.UTC(2026, 4, 20, 12),
    typing: [],
    muted: false,
    member: true,
    ...more,
  };
}
