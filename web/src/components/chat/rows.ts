/** Makes the rows of a message list of a timeline: one per message, each knowing what stands above it. Pure. */

import type { MessageView, PersonView, TimelineView } from "../../service/chat/model";
import { dayOf } from "./format";

/** Messages of one person within this time are one group. */
export const GROUP_MS = 5 * 60_000;

/**
 * A row is a message together with the separators above it, never a separator alone: rows stay one to one with
 * messages, so that a list that keeps its place when older ones come counts the right number of new rows.
 */
export interface Row {
  readonly message: MessageView;
  /** A day begins here. */
  readonly day?: number;
  /** The first message that was unread when the conversation was opened. */
  readonly unreadBegins: boolean;
  /** First and last of a group of one sender. */
  readonly first: boolean;
  readonly last: boolean;
  /** The conversation itself begins here. */
  readonly start: boolean;
}

export function rowsOf(timeline: Pick<TimelineView, "messages" | "hasOlder" | "openedAtSeq">): Row[] {
  const { messages } = timeline;
  const unread = firstUnread(timeline);
  const begins = messages.map((message, index) => beginsGroup(messages[index - 1], message, index === unread));
  return messages.map((message, index) => {
    const before = messages[index - 1];
    const newDay = before === undefined || dayOf(before.at) !== dayOf(message.at);
    return {
      message,
      ...(newDay ? { day: dayOf(message.at) } : {}),
      unreadBegins: index === unread,
      first: begins[index] ?? true,
      last: begins[index + 1] ?? true,
      start: index === 0 && !timeline.hasOlder,
    };
  });
}

/** Rows of which nothing changed stay the same objects, so that their components are not rendered again. */
export function keepSame(before: readonly Row[], now: readonly Row[]): Row[] {
  const known = new Map(before.map((row) => [row.message.key, row]));
  return now.map((row) => {
    const old = known.get(row.message.key);
    return old !== undefined && same(old, row) ? old : row;
  });
}

/** Where people's avatars stand: at the last message that each has read. Keys of messages. */
export function lastReads(
  messages: readonly MessageView[],
  people: readonly PersonView[],
  ownId: string,
): ReadonlyMap<string, readonly PersonView[]> {
  const found = new Map<string, PersonView[]>();
  for (const person of people) {
    const at = messages.findLast((message) => message.seq !== undefined && message.seq <= person.readSeq);
    // Under one's own newest message, or below what somebody wrote himself, it says something; before the loaded
    // part nothing is known.
    if (person.userId !== ownId && at !== undefined && person.readSeq > 0 && at.senderId !== person.userId) {
      found.set(at.key, [...(found.get(at.key) ?? []), person]);
    }
  }
  return found;
}

/** How many rows were put before the ones that were there. */
export function prepended(before: readonly Row[], now: readonly Row[]): number {
  const first = before[0]?.message.key;
  return first === undefined
    ? 0
    : Math.max(
        0,
        now.findIndex((row) => row.message.key === first),
      );
}

/** The newest message of one's own that can be edited. */
export function lastEditable(messages: readonly MessageView[]): MessageView | undefined {
  return messages.findLast(editable);
}

export function editable(message: MessageView): boolean {
  return message.mine && message.kind === "text" && !message.deleted && message.seq !== undefined;
}

export function deletable(message: MessageView): boolean {
  return message.mine && !message.deleted && message.seq !== undefined;
}

export function answerable(message: MessageView): boolean {
  return message.kind !== "system" && !message.deleted && message.seq !== undefined;
}

function firstUnread({ messages, hasOlder, openedAtSeq }: Parameters<typeof rowsOf>[0]): number {
  const index = messages.findIndex((message) => message.seq !== undefined && message.seq > openedAtSeq);
  const found = messages[index];
  // Who has written since has seen everything: a line above one's own message would be noise. And where the first
  // loaded message is unread already, the line's true place is not loaded.
  return found === undefined || found.mine || (index === 0 && hasOlder) ? -1 : index;
}

function beginsGroup(before: MessageView | undefined, message: MessageView, unreadBegins: boolean): boolean {
  return (
    before === undefined ||
    unreadBegins ||
    before.senderId !== message.senderId ||
    before.kind === "system" ||
    message.kind === "system" ||
    before.internal !== message.internal ||
    dayOf(before.at) !== dayOf(message.at) ||
    message.at - before.at > GROUP_MS
  );
}

function same(one: Row, other: Row): boolean {
  return (
    one.message === other.message &&
    one.day === other.day &&
    one.unreadBegins === other.unreadBegins &&
    one.first === other.first &&
    one.last === other.last &&
    one.start === other.start
  );
}
