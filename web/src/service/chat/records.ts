/** What the store knows, before it is made into what pages see. Plain data, changed only by reduce.ts and the store. */

import type { Message } from "../generated/contracts";
import type { Schemas } from "./api";
import type { DeviceType, Me } from "./model";

export interface PersonRecord {
  readonly userId: string;
  readSeq: number;
  deliveredSeq: number;
}

export interface ConversationRecord {
  readonly id: string;
  title: string | undefined;
  /** Of the staff's internal notes: the conversation that they are about. */
  notesOf: string | undefined;
  lastSeq: number;
  /** Of this user. */
  readSeq: number;
  unread: number;
  /** Up to this seq `unread` counts. */
  countedTo: number;
  muted: boolean;
  member: boolean;
  at: number;
  last: Message | undefined;
  readonly people: Map<string, PersonRecord>;
  /** Whether who takes part was read; where somebody looks, also how far each has come, since the last connection. */
  detailed: boolean;
  readonly typing: Set<string>;
  consult: Schemas["ConsultOut"] | undefined;
  /** How many look at it. */
  opened: number;
  openedAtSeq: number;
  /** The newest messages were read, and whatever came since is in `messages`. */
  loaded: boolean;
  loading: boolean;
  loadingOlder: boolean;
  hasOlder: boolean;
  readonly messages: Map<string, Message>;
}

export interface PresenceRecord {
  readonly online: boolean;
  readonly devices: readonly DeviceType[];
}

export interface NotificationRecord {
  readonly id: string;
  readonly title: string;
  readonly content: string;
  readonly at: number;
}

export interface Records {
  readonly me: Me;
  readonly conversations: Map<string, ConversationRecord>;
  readonly names: Map<string, string>;
  readonly presence: Map<string, PresenceRecord>;
  readonly consults: Map<string, Schemas["ConsultOut"]>;
  readonly notifications: Map<string, NotificationRecord>;
  /** Conversations of which something is different since the last snapshot. */
  readonly dirty: Set<string>;
}

export function emptyRecords(me: Me): Records {
  return {
    me,
    conversations: new Map(),
    names: new Map([[me.userId, me.name]]),
    presence: new Map(),
    consults: new Map(),
    notifications: new Map(),
    dirty: new Set(),
  };
}

/** The conversation, made if it was not known. */
export function conversationOf(records: Records, id: string): ConversationRecord {
  let found = records.conversations.get(id);
  if (found === undefined) {
    found = {
      id,
      title: undefined,
      notesOf: undefined,
      lastSeq: 0,
      readSeq: 0,
      unread: 0,
      countedTo: 0,
      muted: false,
      member: false,
      at: 0,
      last: undefined,
      people: new Map(),
      detailed: false,
      typing: new Set(),
      consult: undefined,
      opened: 0,
      openedAtSeq: 0,
      loaded: false,
      loading: false,
      loadingOlder: false,
      hasOlder: false,
      messages: new Map(),
    };
    records.conversations.set(id, found);
  }
  return found;
}

export function personOf(conversation: ConversationRecord, userId: string): PersonRecord {
  let person = conversation.people.get(userId);
  if (person === undefined) {
    person = { userId, readSeq: 0, deliveredSeq: 0 };
    conversation.people.set(userId, person);
  }
  return person;
}

/** Something of the conversation is different; of notes, the conversation that they are about shows it. */
export function touch(records: Records, id: string): void {
  records.dirty.add(id);
  const about = records.conversations.get(id)?.notesOf;
  if (about !== undefined) records.dirty.add(about);
}
