/** What the pages see of a chat: immutable snapshots, and the few things that a user can do. No React, no DOM. */

export type ConnectionStatus = "idle" | "connecting" | "connected" | "reconnecting" | "offline" | "failed";
export type Role = "customer" | "consultant" | "doctor" | "admin";
export type DeviceType = "mobile" | "desktop" | "tablet";
export type MessageKind = "text" | "image" | "voice" | "file" | "system";
/** What became of an own message; of others' messages it is always `sent`. */
export type Progress = "sending" | "sent" | "delivered" | "read" | "failed";

export interface Me {
  readonly userId: string;
  readonly name: string;
  readonly roles: readonly Role[];
}

export interface AttachmentView {
  readonly id: string;
  readonly name: string;
  readonly contentType: string;
  readonly size: number;
  /** Of a voice note. */
  readonly durationMs?: number;
  readonly width?: number;
  readonly height?: number;
}

export interface ReplyView {
  readonly messageId: string;
  readonly senderId: string;
  /** Shortened; empty if it was deleted. */
  readonly content: string;
}

export interface MessageView {
  /** The server's, or the `clientMsgId` as long as it has none. Stable as a React key: use `key`. */
  readonly id: string;
  readonly key: string;
  readonly clientMsgId?: string;
  readonly conversationId: string;
  readonly seq?: number;
  readonly senderId: string;
  readonly senderName: string;
  readonly mine: boolean;
  readonly kind: MessageKind;
  /** Plain text; never HTML. */
  readonly content: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly progress: Progress;
  readonly edited: boolean;
  readonly deleted: boolean;
  readonly important: boolean;
  /** An internal note of the staff. */
  readonly internal: boolean;
  readonly replyTo?: ReplyView;
  readonly attachment?: AttachmentView;
  /** 0 to 1 while a file is being uploaded. */
  readonly upload?: number;
  /** Of a system message: which one, for a text in the reader's language. */
  readonly notice?: { readonly code: string; readonly parameters: Readonly<Record<string, string>> };
  /** Why it failed, for a human. */
  readonly failure?: string;
}

export interface PersonView {
  readonly userId: string;
  readonly name: string;
  /** undefined: not known (yet). */
  readonly online?: boolean;
  readonly devices: readonly DeviceType[];
  /** How far they have read. */
  readonly readSeq: number;
}

export type ConsultState = "waiting" | "taken" | "closed";

export interface ConsultView {
  readonly state: ConsultState;
  readonly consultantId?: string;
  readonly openedAt: number;
}

export interface ConversationView {
  readonly id: string;
  readonly title: string;
  readonly people: readonly PersonView[];
  readonly unread: number;
  readonly last?: MessageView;
  /** Milliseconds since 1970 of the last thing that happened; the list is sorted by it, newest first. */
  readonly at: number;
  readonly typing: readonly string[];
  readonly muted: boolean;
  readonly member: boolean;
  readonly consult?: ConsultView;
}

/** Messages of one conversation, oldest first. */
export interface TimelineView {
  readonly conversationId: string;
  readonly messages: readonly MessageView[];
  readonly hasOlder: boolean;
  readonly loadingOlder: boolean;
  /** Own read cursor when the conversation was opened: the line "new" stands behind it. */
  readonly openedAtSeq: number;
}

export interface Outgoing {
  readonly text: string;
  readonly important?: boolean;
  readonly replyTo?: string;
  readonly mentions?: readonly string[];
  readonly internal?: boolean;
  readonly file?: File;
  readonly voice?: { readonly blob: Blob; readonly durationMs: number };
}

export interface ChatSnapshot {
  readonly me: Me;
  readonly status: ConnectionStatus;
  /** The first sync is over; before that an empty list means "not known". */
  readonly ready: boolean;
  readonly conversations: readonly ConversationView[];
  /** Consults that wait or are open; for consultants and doctors. */
  readonly queue: readonly ConversationView[];
  /** Of `undefined` ids nothing was opened yet. */
  readonly timelines: Readonly<Record<string, TimelineView | undefined>>;
  /** Direct notifications and broadcasts, newest first. */
  readonly notifications: readonly {
    readonly id: string;
    readonly title: string;
    readonly content: string;
    readonly at: number;
  }[];
}

/** One user's chat on this device. Snapshots change identity exactly where something changed. */
export interface ChatStore {
  /** A component has drawn a message: the last stage of its way through the client. */
  drawn(message: Pick<MessageView, "id" | "conversationId"> & { readonly seq: number | undefined }): void;
  subscribe(listener: () => void): () => void;
  snapshot(): ChatSnapshot;
  /** Loads the newest messages; the conversation counts as looked at until `close`. */
  open(conversationId: string): void;
  close(conversationId: string): void;
  loadOlder(conversationId: string): Promise<void>;
  /** Optimistic: the message is in the timeline when this returns; survives a reload. */
  send(conversationId: string, message: Outgoing): void;
  retry(key: string): void;
  /** Gives up a message that was not sent. */
  discard(key: string): void;
  edit(messageId: string, content: string): Promise<void>;
  remove(messageId: string): Promise<void>;
  /** Called while somebody types; coalesced. */
  typing(conversationId: string): void;
  /** The user has seen everything up to this seq. */
  markRead(conversationId: string, seq: number): void;
  /** A new conversation, or the existing one of two people. Its id. */
  start(userIds: readonly string[], title?: string): Promise<string>;
  mute(conversationId: string, muted: boolean): Promise<void>;
  /** Where an attachment's content is; the URL is an object URL of this page, freed by `release`. */
  attachmentUrl(attachmentId: string): Promise<string>;
  /** Says that one caller of `attachmentUrl` needs it no longer; the last one frees the URL. */
  release(attachmentId: string): void;
  consult: {
    /** A customer asks for somebody. Its conversation's id. */
    open(subject: string): Promise<string>;
    take(conversationId: string): Promise<void>;
    handOver(conversationId: string, userId: string): Promise<void>;
    close(conversationId: string): Promise<void>;
  };
}
