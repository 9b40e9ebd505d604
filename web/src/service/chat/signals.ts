/** What is worth something only now: who types, who is there, how far this user has read. */

import type { Cancel, Clock, Connection } from "../websocket/types";
import type { Api } from "./api";
import type { DeviceType } from "./model";
import { conversationOf, type Records, touch } from "./records";

const TYPING_RENEWED_MS = 3_000;
const TYPING_ENDS_MS = 4_000;
/** Longer than the server needs to take a signal back: only a lost frame makes this necessary. */
const TYPING_FORGOTTEN_MS = 8_000;
const FOLLOW_DELAY_MS = 500;
const DEVICES: readonly DeviceType[] = ["mobile", "desktop", "tablet"];

export class Signals {
  readonly #connection: Connection;
  readonly #api: Api;
  readonly #clock: Clock;
  readonly #records: Records;
  readonly #changed: () => void;
  readonly #typingHere = new Map<string, { sentAt: number; end: Cancel }>();
  readonly #typingThere = new Map<string, Cancel>();
  /** Read cursors that the server does not have yet. */
  readonly #unread = new Map<string, number>();
  #telling = false;
  #followed = "";
  #cancelFollow: Cancel | undefined;

  constructor(connection: Connection, api: Api, clock: Clock, records: Records, changed: () => void) {
    this.#connection = connection;
    this.#api = api;
    this.#clock = clock;
    this.#records = records;
    this.#changed = changed;
  }

  /** This user types; told at most each 3 s, and taken back soon after the last key. */
  typing(conversationId: string): void {
    const now = this.#clock.now();
    const known = this.#typingHere.get(conversationId);
    known?.end();
    const due = known === undefined || now - known.sentAt >= TYPING_RENEWED_MS;
    if (due) this.#connection.send("typing", { conversation_id: conversationId, is_typing: true });
    const end = this.#clock.after(TYPING_ENDS_MS, () => this.stopTyping(conversationId));
    this.#typingHere.set(conversationId, { sentAt: due ? now : known.sentAt, end });
  }

  stopTyping(conversationId: string): void {
    const known = this.#typingHere.get(conversationId);
    if (known === undefined) return;
    known.end();
    this.#typingHere.delete(conversationId);
    this.#connection.send("typing", { conversation_id: conversationId, is_typing: false });
  }

  /** Somebody else types, or does not any more. */
  heardTyping(conversationId: string, userId: string, isTyping: boolean): void {
    const conversation = this.#records.conversations.get(conversationId);
    if (conversation === undefined || userId === this.#records.me.userId) return;
    const key = `${conversationId}:${userId}`;
    this.#typingThere.get(key)?.();
    this.#typingThere.delete(key);
    if (isTyping) {
      conversation.typing.add(userId);
      const forget = () => this.heardTyping(conversationId, userId, false);
      this.#typingThere.set(key, this.#clock.after(TYPING_FORGOTTEN_MS, forget));
    } else {
      conversation.typing.delete(userId);
    }
    touch(this.#records, conversationId);
    this.#changed();
  }

  heardPresence(userId: string, online: boolean, devices: readonly unknown[]): void {
    const types = DEVICES.filter((type) => devices.includes(type));
    this.#records.presence.set(userId, { online, devices: types });
    for (const conversation of this.#records.conversations.values()) {
      if (conversation.people.has(userId)) touch(this.#records, conversation.id);
    }
    this.#changed();
  }

  /** Follows the presence of those who are seen: of the newest conversations first, as many as the server lets us. */
  follow(): void {
    this.#cancelFollow ??= this.#clock.after(FOLLOW_DELAY_MS, () => {
      this.#cancelFollow = undefined;
      void this.#follow();
    });
  }

  /** There is a socket: it knows nothing of what an earlier one was told. */
  connected(): void {
    this.#followed = "";
    this.follow();
    void this.#tell();
  }

  /** No socket, no signals: nobody is known to type or to be there. */
  disconnected(): void {
    for (const cancel of this.#typingThere.values()) cancel();
    this.#typingThere.clear();
    this.#records.presence.clear();
    for (const conversation of this.#records.conversations.values()) {
      conversation.typing.clear();
      touch(this.#records, conversation.id);
    }
    this.#changed();
  }

  /** The server is to know that everything up to there was read: now, or when it can be told. */
  read(conversationId: string, seq: number): void {
    this.#unread.set(conversationId, Math.max(seq, this.#unread.get(conversationId) ?? 0));
    void this.#tell();
  }

  stop(): void {
    this.#cancelFollow?.();
    for (const cancel of this.#typingThere.values()) cancel();
    for (const { end } of this.#typingHere.values()) end();
  }

  async #follow(): Promise<void> {
    const { welcome } = this.#connection.state;
    if (welcome === undefined) return;
    const found = new Set<string>();
    const newestFirst = [...this.#records.conversations.values()].sort((a, b) => b.opened - a.opened || b.at - a.at);
    for (const userId of newestFirst.flatMap((conversation) => [...conversation.people.keys()])) {
      if (userId !== this.#records.me.userId && found.size < welcome.presenceUsersMax) found.add(userId);
    }
    const ids = [...found].sort();
    if (ids.join() === this.#followed) return;
    this.#followed = ids.join();
    try {
      const { users } = await this.#connection.ask("presence_subscribe", { user_ids: ids });
      for (const user of Array.isArray(users) ? users : []) this.#heardUser(user);
    } catch {
      // Without presence a chat works, too; the next connection, or change of people, asks again.
      this.#followed = "";
    }
  }

  #heardUser(user: Record<string, unknown>): void {
    const { user_id: userId, online, device_types: devices } = user;
    if (typeof userId !== "string") return;
    this.heardPresence(userId, online === true, Array.isArray(devices) ? devices : []);
  }

  async #tell(): Promise<void> {
    if (this.#telling) return;
    this.#telling = true;
    try {
      for (let next = this.#unread.entries().next(); !next.done; next = this.#unread.entries().next()) {
        const [id, seq] = next.value;
        await this.#mark(id, seq);
        if (this.#unread.get(id) === seq) this.#unread.delete(id);
      }
    } catch {
      // Kept for the next connection, or the next message that is read.
    } finally {
      this.#telling = false;
    }
  }

  async #mark(id: string, seq: number): Promise<void> {
    if (!conversationOf(this.#records, id).member) return;
    if (this.#connection.state.welcome !== undefined) {
      await this.#connection.ask("mark_read", { conversation_id: id, seq });
      return;
    }
    const params = { path: { conversation_id: id } };
    await this.#api.call((client) => client.PUT("/v1/conversations/{conversation_id}/read", { params, body: { seq } }));
  }
}
