/** Records as pages see them: immutable, and the same objects as before where nothing changed. Pure. */

import type { Message } from "../generated/contracts";
import type { Schemas } from "./api";
import type {
  AttachmentView,
  ConsultState,
  ConsultView,
  ConversationView,
  MessageView,
  PersonView,
  Progress,
  ReplyView,
  TimelineView,
} from "./model";
import type { OutboxEntry } from "./outboxStorage";
import type { ConversationRecord, Records } from "./records";

const REPLY_CHARS = 140;

/** `next`, or `before` if it says the same: what has not changed keeps its identity. */
export function same<T>(before: T | undefined, next: T): T {
  if (before === undefined || Object.is(before, next)) return next;
  if (typeof before !== "object" || typeof next !== "object" || before === null || next === null) return next;
  if (Array.isArray(next)) return (Array.isArray(before) ? sameList(before, next) : next) as T;
  const [old, now] = [before as Readonly<Record<string, unknown>>, next as Record<string, unknown>];
  const names = Object.keys(now);
  let changed = names.length !== Object.keys(old).length;
  for (const name of names) {
    now[name] = same(old[name], now[name]);
    if (!Object.is(old[name], now[name])) changed = true;
  }
  return changed ? next : before;
}

function sameList(before: readonly unknown[], next: unknown[]): readonly unknown[] {
  // By key where there is one: a message that came in front moves all the others.
  const keyOf = (value: unknown, index: number) =>
    (value as { key?: string } | null)?.key ??
    (value as { id?: string } | null)?.id ??
    (value as { userId?: string } | null)?.userId ??
    index;
  const old = new Map(before.map((value, index) => [keyOf(value, index), value]));
  const merged = next.map((value, index) => same(old.get(keyOf(value, index)), value));
  const unchanged = merged.length === before.length && merged.every((value, index) => Object.is(value, before[index]));
  return unchanged ? before : merged;
}

export function nameOf(records: Records, userId: string): string {
  return records.names.get(userId) ?? userId;
}

function attachmentView(told: NonNullable<Message["attachment"]>): AttachmentView {
  const view = { id: told.id, name: told.name, contentType: told.media_type, size: told.size_bytes };
  return typeof told.duration_ms === "number" ? { ...view, durationMs: told.duration_ms } : view;
}

/** How far an own message has come: with everybody else who takes part, so that nobody is promised who has not got it. */
function progressOf(records: Records, conversation: ConversationRecord, message: Message): Progress {
  if (message.sender_id !== records.me.userId) return "sent";
  const others = [...conversation.people.values()].filter((person) => person.userId !== records.me.userId);
  if (others.length === 0) return "sent";
  if (others.every((person) => person.readSeq >= message.seq)) return "read";
  return others.every((person) => person.deliveredSeq >= message.seq) ? "delivered" : "sent";
}

function replyView(conversation: ConversationRecord, messageId: string): ReplyView {
  const answered = conversation.messages.get(messageId);
  const content = answered === undefined || answered.deleted_at ? "" : textOf(answered);
  return { messageId, senderId: answered?.sender_id ?? "", content: content.slice(0, REPLY_CHARS) };
}

/** A message needs a text; a file that was sent without one has its name for it, which is shown with the file already. */
function textOf(message: Message): string {
  return message.content === message.attachment?.name ? "" : message.content;
}

export function messageView(records: Records, conversation: ConversationRecord, message: Message): MessageView {
  const deleted = Boolean(message.deleted_at);
  const internal = conversation.notesOf !== undefined;
  return {
    id: message.id,
    key: message.client_msg_id ?? message.id,
    ...(message.client_msg_id && { clientMsgId: message.client_msg_id }),
    conversationId: conversation.notesOf ?? message.conversation_id,
    // The seq of a note is one of another conversation.
    ...(!internal && { seq: message.seq }),
    senderId: message.sender_id,
    senderName: message.sender_name ?? nameOf(records, message.sender_id),
    mine: message.sender_id === records.me.userId,
    kind: message.sender_type === "system" ? "system" : message.message_type,
    content: deleted ? "" : textOf(message),
    at: Date.parse(message.created_at),
    progress: internal ? "sent" : progressOf(records, conversation, message),
    edited: Boolean(message.edited_at) && !deleted,
    deleted,
    important: message.is_important ?? false,
    internal,
    ...(message.reply_to && { replyTo: replyView(conversation, message.reply_to) }),
    ...(message.attachment && !deleted && { attachment: attachmentView(message.attachment) }),
    ...(message.notice && {
      notice: { code: message.notice.type, parameters: parametersOf(records, message.notice.data) },
    }),
  };
}

/** The notice's data as texts; whom it is about is also named. */
function parametersOf(records: Records, data: unknown): Record<string, string> {
  const texts = Object.entries((data ?? {}) as Record<string, unknown>).flatMap(([name, value]): [string, string][] =>
    typeof value === "string" || typeof value === "number" ? [[name, String(value)]] : [],
  );
  const parameters = Object.fromEntries(texts);
  const about = parameters.consultant_id ?? parameters.user_id;
  return about === undefined ? parameters : { name: nameOf(records, about), ...parameters };
}

/** A message that is not sent yet. */
export function entryView(
  records: Records,
  conversation: ConversationRecord,
  entry: OutboxEntry,
  upload?: number,
): MessageView {
  const { file } = entry;
  return {
    id: entry.id,
    key: entry.id,
    clientMsgId: entry.id,
    conversationId: entry.conversationId,
    senderId: records.me.userId,
    senderName: records.me.name,
    mine: true,
    kind: entry.kind,
    content: entry.content === file?.name ? "" : entry.content,
    at: entry.at,
    progress: entry.failure === undefined ? "sending" : "failed",
    edited: false,
    deleted: false,
    important: entry.important,
    internal: entry.internal,
    ...(entry.replyTo !== undefined && { replyTo: replyView(conversation, entry.replyTo) }),
    ...(file !== undefined && {
      attachment: {
        id: entry.attachmentId ?? entry.id,
        name: file.name,
        contentType: file.blob.type,
        size: file.blob.size,
        ...(file.durationMs !== undefined && { durationMs: file.durationMs }),
      },
    }),
    ...(upload !== undefined && entry.attachmentId === undefined && { upload }),
    ...(entry.failure !== undefined && { failure: entry.failure.message }),
  };
}

export function consultView(consult: Schemas["ConsultOut"]): ConsultView {
  const state: ConsultState = consult.state === "active" ? "taken" : consult.state;
  const view = { state, openedAt: Date.parse(consult.opened_at) };
  return consult.assignee_id ? { ...view, consultantId: consult.assignee_id } : view;
}

function personView(records: Records, conversation: ConversationRecord, userId: string): PersonView {
  const presence = records.presence.get(userId);
  return {
    userId,
    name: nameOf(records, userId),
    ...(presence !== undefined && { online: presence.online }),
    devices: presence?.devices ?? [],
    readSeq: conversation.people.get(userId)?.readSeq ?? 0,
  };
}

function titleOf(records: Records, conversation: ConversationRecord): string {
  if (conversation.title) return conversation.title;
  const consult = conversation.consult ?? records.consults.get(conversation.id);
  if (consult?.topic) return consult.topic;
  const others = [...conversation.people.keys()].filter((userId) => userId !== records.me.userId);
  return others.map((userId) => nameOf(records, userId)).join(", ");
}

export function conversationView(
  records: Records,
  conversation: ConversationRecord,
  pending: MessageView | undefined,
): ConversationView {
  const consult = records.consults.get(conversation.id) ?? conversation.consult;
  const last = pending ?? (conversation.last && messageView(records, conversation, conversation.last));
  return {
    id: conversation.id,
    title: titleOf(records, conversation),
    people: [...conversation.people.keys()].sort().map((userId) => personView(records, conversation, userId)),
    unread: conversation.unread,
    ...(last !== undefined && { last }),
    at: Math.max(conversation.at, pending?.at ?? 0),
    typing: [...conversation.typing].sort(),
    muted: conversation.muted,
    member: conversation.member,
    ...(consult !== undefined && { consult: consultView(consult) }),
  };
}

/** A consult in the queue of which this user knows nothing but that it is there. */
export function consultOnly(records: Records, consult: Schemas["ConsultOut"]): ConversationView {
  const customer = { userId: consult.customer_id, name: consult.customer_name ?? nameOf(records, consult.customer_id) };
  return {
    id: consult.conversation_id,
    title: consult.topic ?? customer.name,
    people: [{ ...customer, devices: [], readSeq: 0 }],
    unread: 0,
    at: Date.parse(consult.opened_at),
    typing: [],
    muted: false,
    member: false,
    consult: consultView(consult),
  };
}

/** Messages by seq; notes of the staff and what is not sent yet find their place by time and at the end. */
export function timelineView(
  records: Records,
  conversation: ConversationRecord,
  notes: ConversationRecord | undefined,
  waiting: readonly MessageView[],
): TimelineView {
  const known = new Set<string>();
  const messages = [...conversation.messages.values()]
    .sort((a, b) => a.seq - b.seq)
    .map((message) => messageView(records, conversation, message));
  for (const message of messages) known.add(message.key);
  const asides = [...(notes?.messages.values() ?? [])]
    .sort((a, b) => a.seq - b.seq)
    .map((note) => messageView(records, notes as ConversationRecord, note));
  for (const note of asides) known.add(note.key);
  return {
    conversationId: conversation.id,
    messages: [...interleaved(messages, asides), ...waiting.filter((message) => !known.has(message.key))],
    hasOlder: conversation.hasOlder || !conversation.loaded,
    loadingOlder: conversation.loadingOlder || conversation.loading,
    openedAtSeq: conversation.openedAtSeq,
  };
}

function interleaved(messages: readonly MessageView[], asides: readonly MessageView[]): MessageView[] {
  const merged: MessageView[] = [];
  let next = 0;
  for (const message of messages) {
    for (let aside = asides[next]; aside !== undefined && aside.at < message.at; aside = asides[next]) {
      merged.push(aside);
      next += 1;
    }
    merged.push(message);
  }
  return [...merged, ...asides.slice(next)];
}
