/** A frame of the server as a message with a known shape; what does not have that shape is nothing. */

import type {
  ConsultUpdate,
  DeliveredUpdate,
  Message,
  Notification,
  PresenceUpdate,
  ReadUpdate,
  TypingUpdate,
} from "../../generated/contracts";
import type { ServerFrame } from "../types";

interface Shapes {
  new_message: Message;
  message_updated: Message;
  message_deleted: Message;
  system_notification: Message;
  direct_message: Notification;
  read: ReadUpdate;
  delivered: DeliveredUpdate;
  typing: TypingUpdate;
  presence: PresenceUpdate;
  consult_updated: ConsultUpdate;
  conversation_updated: { readonly conversation_id: string };
  participant_joined: { readonly conversation_id: string; readonly user_id: string };
  participant_left: { readonly conversation_id: string; readonly user_id: string };
  stats: Readonly<Record<string, unknown>>;
  resync: Readonly<Record<string, unknown>>;
}

export type ServerAction = keyof Shapes;

/** `lastMessage.action === "new_message"` says what `lastMessage.data` is. */
export type ServerMessage = {
  [A in ServerAction]: {
    readonly action: A;
    readonly data: Shapes[A];
    readonly stream?: string;
    readonly seq?: number;
  };
}[ServerAction];

type Kind = "string" | "number" | "boolean";
type Fields = Readonly<Record<string, Kind>>;

const MESSAGE: Fields = {
  id: "string",
  conversation_id: "string",
  seq: "number",
  sender_id: "string",
  message_type: "string",
  content: "string",
  created_at: "string",
};
const CURSOR: Fields = { conversation_id: "string", user_id: "string", seq: "number" };
const MEMBER: Fields = { conversation_id: "string", user_id: "string" };

/** What must be there for a message to be used; the rest of a shape is optional or of no consequence. */
const NEEDED: Readonly<Record<ServerAction, Fields>> = {
  new_message: MESSAGE,
  message_updated: MESSAGE,
  message_deleted: MESSAGE,
  system_notification: MESSAGE,
  direct_message: { id: "string", title: "string", content: "string", created_at: "string" },
  read: CURSOR,
  delivered: CURSOR,
  typing: { conversation_id: "string", user_id: "string", is_typing: "boolean" },
  presence: { user_id: "string", online: "boolean" },
  consult_updated: { conversation_id: "string", event: "string" },
  conversation_updated: { conversation_id: "string" },
  participant_joined: MEMBER,
  participant_left: MEMBER,
  stats: {},
  resync: {},
};

/** The message that a frame holds; undefined for an action that this version does not know, or data that is not its. */
export function adaptMessage(frame: ServerFrame): ServerMessage | undefined {
  if (!Object.hasOwn(NEEDED, frame.action)) return undefined;
  const needed = NEEDED[frame.action as ServerAction];
  if (!hasFields(frame.data, needed)) return undefined;
  const place = frame.stream === undefined || frame.seq === undefined ? {} : { stream: frame.stream, seq: frame.seq };
  // The shape was looked at, field by field, as far as anything depends on it.
  return { action: frame.action, data: frame.data, ...place } as unknown as ServerMessage;
}

/** Whether data is a message of a conversation, for those who get it in an event. */
export function isMessage(data: Readonly<Record<string, unknown>>): boolean {
  return hasFields(data, MESSAGE);
}

function hasFields(data: Readonly<Record<string, unknown>>, needed: Fields): boolean {
  return Object.entries(needed).every(([name, kind]) => typeof data[name] === kind);
}
