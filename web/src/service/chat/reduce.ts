/** What each thing that comes in changes in the records. No I/O. */

import type { Message, Notification } from "../generated/contracts";
import { isMessage } from "../websocket/adapters/messageAdapter";
import { isRecord } from "../websocket/core/serializer";
import type { Schemas } from "./api";
import { type ConversationRecord, conversationOf, personOf, type Records, touch } from "./records";
import type { StreamEvent } from "./timeline";

/** Notifications that are kept; older ones are the server's. */
const NOTIFICATIONS_MAX = 100;

/** An event in its place. */
export function applyEvent(records: Records, event: StreamEvent): void {
  const { data, type, seq } = event;
  if (type.startsWith("message.")) {
    // Looked at field by field, as far as anything depends on it.
    if (isMessage(data)) applyMessage(records, data as unknown as Message, type === "message.created");
    return;
  }
  if (type === "user.notified") {
    if (isRecord(data.notification)) applyNotification(records, data.notification as unknown as Notification);
    return;
  }
  const { conversation_id: id, user_id: userId } = data;
  if (typeof id !== "string") return;
  const conversation = conversationOf(records, id);
  if (event.stream.startsWith("conversation:")) conversation.lastSeq = Math.max(conversation.lastSeq, seq);
  if (type.startsWith("user.")) applyOwn(records, conversation, type, data);
  else if (type.startsWith("consult.")) applyConsultEvent(conversation, type, data);
  else if (type.startsWith("conversation.")) applyDescription(records, conversation, data);
  else if (typeof userId === "string") applyParticipant(records, conversation, type, userId);
  touch(records, id);
}

/** The user's own stream: where its user takes part, has read, and wants to hear nothing. */
function applyOwn(records: Records, conversation: ConversationRecord, type: string, data: StreamEvent["data"]): void {
  if (type === "user.read_advanced" && typeof data.seq === "number") advanceRead(records, conversation, data.seq);
  else if (type === "user.conversation_joined") conversation.member = true;
  else if (type === "user.conversation_left") conversation.member = false;
  else if (type === "user.conversation_muted") conversation.muted = data.muted === true;
}

function applyParticipant(records: Records, conversation: ConversationRecord, type: string, userId: string): void {
  const mine = userId === records.me.userId;
  if (type === "participant.joined") {
    personOf(conversation, userId);
    // Names and cursors are not in the event.
    conversation.detailed = false;
    if (mine) conversation.member = true;
  } else if (type === "participant.left") {
    conversation.people.delete(userId);
    conversation.typing.delete(userId);
    if (mine) conversation.member = false;
  }
}

function applyDescription(records: Records, conversation: ConversationRecord, data: StreamEvent["data"]): void {
  if (typeof data.title === "string" || data.title === null) conversation.title = data.title ?? undefined;
  if (typeof data.created_at === "string") conversation.at = Math.max(conversation.at, Date.parse(data.created_at));
  if (!Array.isArray(data.participant_ids)) return;
  for (const userId of data.participant_ids) if (typeof userId === "string") personOf(conversation, userId);
  conversation.member = conversation.people.has(records.me.userId);
}

function applyConsultEvent(conversation: ConversationRecord, type: string, data: StreamEvent["data"]): void {
  const { consult } = conversation;
  const text = (value: unknown) => (typeof value === "string" ? value : undefined);
  const customer = text(data.customer_id) ?? consult?.customer_id;
  if (customer === undefined) return;
  const opened = type === "consult.opened";
  const back = opened || (type === "consult.handed_over" && text(data.to_id) === undefined);
  const assignee = text(data.to_id) ?? text(data.consultant_id) ?? consult?.assignee_id ?? null;
  conversation.consult = {
    ...consult,
    conversation_id: conversation.id,
    customer_id: customer,
    state: type === "consult.closed" ? "closed" : back ? "waiting" : "active",
    assignee_id: back ? null : assignee,
    opened_at: consult?.opened_at ?? text(data.opened_at) ?? new Date(conversation.at).toISOString(),
  };
}

/** A conversation as the server gives it. */
export function applyConversation(records: Records, told: Schemas["ConversationOut"]): ConversationRecord {
  const conversation = conversationOf(records, told.id);
  conversation.title = told.title ?? undefined;
  if (told.kind === "notes" && typeof told.notes_of === "string") conversation.notesOf = told.notes_of;
  conversation.muted = told.muted ?? false;
  conversation.member = typeof told.read_seq === "number";
  conversation.at = Math.max(conversation.at, Date.parse(told.last_activity_at));
  conversation.lastSeq = Math.max(conversation.lastSeq, told.last_seq);
  conversation.readSeq = Math.max(conversation.readSeq, told.read_seq ?? 0);
  if (told.last_seq >= conversation.countedTo) {
    conversation.unread = conversation.readSeq > (told.read_seq ?? 0) ? conversation.unread : told.unread_count;
    conversation.countedTo = told.last_seq;
  }
  if (told.last_message) takeMessage(records, conversation, told.last_message as Message);
  for (const person of told.participants ?? []) {
    const known = personOf(conversation, person.user_id);
    known.readSeq = Math.max(known.readSeq, person.read_seq);
    if (person.name) records.names.set(person.user_id, person.name);
  }
  if (told.participants) dropStrangers(conversation, new Set(told.participants.map((person) => person.user_id)));
  touch(records, told.id);
  return conversation;
}

function dropStrangers(conversation: ConversationRecord, members: ReadonlySet<string>): void {
  for (const userId of [...conversation.people.keys()]) if (!members.has(userId)) conversation.people.delete(userId);
}

/** A message as it is now; `created` counts it if it is unread. */
export function applyMessage(records: Records, message: Message, created: boolean): void {
  const conversation = conversationOf(records, message.conversation_id);
  // Nothing is shown of a conversation that the user takes no part in.
  if (created) conversation.member = true;
  const isNew = created && message.seq > conversation.countedTo;
  if (isNew) {
    conversation.countedTo = message.seq;
    const others = message.sender_id !== records.me.userId && !message.deleted_at;
    if (others && message.seq > conversation.readSeq) conversation.unread += 1;
  }
  conversation.lastSeq = Math.max(conversation.lastSeq, message.seq);
  if (created) conversation.typing.delete(message.sender_id);
  takeMessage(records, conversation, message);
  // Whoever writes has read what was there.
  const person = conversation.people.get(message.sender_id);
  if (created && person !== undefined) person.readSeq = Math.max(person.readSeq, message.seq);
  touch(records, conversation.id);
}

/** A page of history, or what one's own request answered. */
export function takeMessage(records: Records, conversation: ConversationRecord, message: Message): void {
  if (message.sender_name) records.names.set(message.sender_id, message.sender_name);
  if (conversation.last === undefined || message.seq > conversation.last.seq) conversation.last = message;
  else if (message.id === conversation.last.id) conversation.last = newer(conversation.last, message);
  conversation.at = Math.max(conversation.at, Date.parse(message.created_at));
  if (conversation.loaded || conversation.loading) {
    const known = conversation.messages.get(message.id);
    conversation.messages.set(message.id, known === undefined ? message : newer(known, message));
  }
}

/** Of two versions of a message the later one, whichever came first. */
export function newer(known: Message, told: Message): Message {
  if (known.deleted_at) return known;
  if (told.deleted_at || (told.edited_at ?? "") > (known.edited_at ?? "")) return told;
  if ((told.edited_at ?? "") < (known.edited_at ?? "")) return known;
  // The same text: the one that says more. A frame may know the sender's own id, a page the attachment.
  return { ...known, ...told, ...(known.attachment && !told.attachment && { attachment: known.attachment }) };
}

/** The user has read up to there, here or on another device. */
export function advanceRead(records: Records, conversation: ConversationRecord, seq: number): boolean {
  if (seq <= conversation.readSeq) return false;
  conversation.readSeq = seq;
  conversation.unread = unreadAbove(records, conversation, seq);
  touch(records, conversation.id);
  return true;
}

function unreadAbove(records: Records, conversation: ConversationRecord, seq: number): number {
  const newest = conversation.last?.seq ?? conversation.lastSeq;
  if (seq >= newest) return 0;
  if (!conversation.loaded) return conversation.unread;
  const others = [...conversation.messages.values()].filter((one) => one.sender_id !== records.me.userId);
  const above = others.filter((one) => one.seq > seq && !one.deleted_at).length;
  return Math.min(above, conversation.unread);
}

/** Somebody else's cursor. */
export function applyCursor(records: Records, id: string, userId: string, readSeq: number, deliveredSeq: number): void {
  const conversation = records.conversations.get(id);
  if (conversation === undefined) return;
  if (userId === records.me.userId) {
    advanceRead(records, conversation, readSeq);
    return;
  }
  const person = personOf(conversation, userId);
  person.readSeq = Math.max(person.readSeq, readSeq);
  // What was read had arrived.
  person.deliveredSeq = Math.max(person.deliveredSeq, deliveredSeq, readSeq);
  touch(records, id);
}

export function applyNotification(records: Records, told: Notification): void {
  const { notifications } = records;
  notifications.set(told.id, {
    id: told.id,
    title: told.title,
    content: told.content,
    at: Date.parse(told.created_at),
  });
  if (notifications.size <= NOTIFICATIONS_MAX) return;
  const oldest = [...notifications.values()].sort((a, b) => a.at - b.at)[0];
  if (oldest !== undefined) notifications.delete(oldest.id);
}
