/** A believable `ChatStore` without a server: for component tests, for screenshots and to look at pages. Never shipped. */

import type {
  ChatSnapshot,
  ChatStore,
  ConversationView,
  MessageView,
  Outgoing,
  Role,
  TimelineView,
} from "../service/chat/model";
import { type DemoData, demoData, nameOf } from "./demoData";
import { picture, voice } from "./demoMedia";

const PAGE = 40;
const DEFAULT_VOICE_MS = 4000;

export interface DemoOptions {
  readonly role?: Role;
  readonly now?: () => number;
  /** Milliseconds between the steps of what others do; 0: nobody does anything. */
  readonly pace?: number;
  readonly status?: ChatSnapshot["status"];
  /** As it is before the first sync. */
  readonly empty?: boolean;
}

export class DemoStore implements ChatStore {
  readonly consult: ChatStore["consult"];
  readonly #listeners = new Set<() => void>();
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  readonly #all: Record<string, readonly MessageView[]>;
  readonly #files = new Map<string, Blob>();
  readonly #urls = new Map<string, string>();
  readonly #now: () => number;
  readonly #pace: number;
  #count = 0;
  #snapshot: ChatSnapshot;

  constructor({ role = "customer", now = Date.now, pace = 0, status = "connected", empty = false }: DemoOptions = {}) {
    const data: DemoData = demoData(role, now());
    this.#now = now;
    this.#pace = pace;
    this.#all = { ...data.messages };
    this.#snapshot = {
      me: data.me,
      status,
      ready: !empty,
      conversations: empty ? [] : sorted(data.conversations),
      queue: empty ? [] : data.queue,
      timelines: {},
      notifications: [],
    };
    this.consult = {
      open: (subject) => this.start([], subject, { state: "waiting", openedAt: this.#now() }),
      take: (id) => this.#take(id),
      handOver: async (id) => this.#leave(id),
      close: async (id) =>
        this.#change(id, (one) => (one.consult ? { ...one, consult: { ...one.consult, state: "closed" } } : one)),
    };
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  snapshot(): ChatSnapshot {
    return this.#snapshot;
  }

  /** No timer and no URL is left behind. */
  stop(): void {
    for (const timer of this.#timers) {
      clearTimeout(timer);
    }
    for (const url of this.#urls.values()) {
      URL.revokeObjectURL(url);
    }
    this.#urls.clear();
  }

  open(id: string): void {
    const conversation = this.#conversation(id);
    if (conversation === undefined || this.#snapshot.timelines[id] !== undefined) {
      return;
    }
    const all = this.#all[id] ?? [];
    this.#timeline(id, {
      conversationId: id,
      messages: all.slice(-PAGE),
      hasOlder: all.length > PAGE,
      loadingOlder: false,
      openedAtSeq: (all.at(-1)?.seq ?? 0) - conversation.unread,
    });
  }

  close(): void {}

  async loadOlder(id: string): Promise<void> {
    const timeline = this.#snapshot.timelines[id];
    if (timeline === undefined || timeline.loadingOlder || !timeline.hasOlder) {
      return;
    }
    this.#timeline(id, { ...timeline, loadingOlder: true });
    await this.#later(0.5);
    const all = this.#all[id] ?? [];
    const shown = this.#snapshot.timelines[id]?.messages.length ?? 0;
    const messages = all.slice(-(shown + PAGE));
    this.#timeline(id, { ...timeline, messages, hasOlder: messages.length < all.length, loadingOlder: false });
  }

  send(id: string, outgoing: Outgoing): void {
    const made = this.#made(id, outgoing);
    this.#append(made);
    void this.#progress(made.key);
  }

  retry(key: string): void {
    this.#replace(key, ({ failure: _, ...one }) => ({ ...one, progress: "sending" }));
    void this.#progress(key);
  }

  discard(key: string): void {
    for (const id of Object.keys(this.#all)) {
      this.#set(
        id,
        (this.#all[id] ?? []).filter((one) => one.key !== key),
      );
    }
  }

  async edit(messageId: string, content: string): Promise<void> {
    this.#replace(messageId, (one) => ({ ...one, content, edited: true }));
  }

  async remove(messageId: string): Promise<void> {
    this.#replace(messageId, ({ attachment: _, ...one }) => ({ ...one, content: "", deleted: true }));
  }

  typing(): void {}

  drawn(): void {}

  markRead(id: string, seq: number): void {
    const unread = (this.#all[id] ?? []).filter((one) => !one.mine && (one.seq ?? 0) > seq).length;
    if ((this.#conversation(id)?.unread ?? 0) > unread) {
      this.#change(id, (one) => ({ ...one, unread }));
    }
  }

  async start(userIds: readonly string[], title?: string, consult?: ConversationView["consult"]): Promise<string> {
    const id = `new-${++this.#count}`;
    const made: ConversationView = {
      id,
      title: title || userIds.map(nameOf).join(", "),
      people: [],
      unread: 0,
      at: this.#now(),
      typing: [],
      muted: false,
      member: true,
      ...(consult ? { consult } : {}),
    };
    this.#all[id] = [];
    this.#publish({ conversations: sorted([...this.#snapshot.conversations, made]) });
    return id;
  }

  async mute(id: string, muted: boolean): Promise<void> {
    this.#change(id, (one) => ({ ...one, muted }));
  }

  async attachmentUrl(attachmentId: string): Promise<string> {
    const known = this.#urls.get(attachmentId);
    if (known !== undefined) {
      return known;
    }
    const url = URL.createObjectURL(this.#file(attachmentId));
    this.#urls.set(attachmentId, url);
    return url;
  }

  release(): void {}

  /** Somebody else writes this now. */
  receive(id: string, senderId: string, content: string, more: Partial<MessageView> = {}): MessageView {
    const message = { ...this.#made(id, { text: content }), senderId, senderName: nameOf(senderId), mine: false };
    const seq = ((this.#all[id] ?? []).at(-1)?.seq ?? 0) + 1;
    const received: MessageView = { ...message, progress: "sent", seq, ...more };
    this.#append(received);
    this.#change(id, (one) => ({
      ...one,
      unread: one.unread + 1,
      typing: one.typing.filter((who) => who !== senderId),
    }));
    return received;
  }

  /** Who types in a conversation now. */
  types(id: string, userIds: readonly string[]): void {
    this.#change(id, (one) => ({ ...one, typing: userIds }));
  }

  setStatus(status: ChatSnapshot["status"]): void {
    this.#publish({ status });
  }

  /** As if sending had failed. */
  fail(key: string, failure: string): void {
    this.#replace(key, (one) => ({ ...one, progress: "failed", failure }));
  }

  async #progress(key: string): Promise<void> {
    if (this.#pace === 0) {
      return;
    }
    for (const upload of [0.2, 0.6, 0.9]) {
      await this.#later(0.4);
      this.#replace(key, (one) => (one.attachment ? { ...one, upload } : one));
    }
    this.#replace(key, ({ upload: _, ...one }) => ({
      ...one,
      progress: "sent",
      seq: Math.max(0, ...(this.#all[one.conversationId] ?? []).map((other) => other.seq ?? 0)) + 1,
    }));
    for (const progress of ["delivered", "read"] as const) {
      await this.#later(1);
      this.#replace(key, (one) => ({ ...one, progress }));
    }
    await this.#answer(key);
  }

  async #answer(key: string): Promise<void> {
    const id = Object.keys(this.#all).find((one) => this.#all[one]?.some((message) => message.key === key));
    const other = this.#conversation(id ?? "")?.people.find((person) => person.userId !== this.#snapshot.me.userId);
    if (id === undefined || other === undefined) {
      return;
    }
    this.types(id, [other.userId]);
    await this.#later(2);
    this.receive(id, other.userId, "Understood, thank you!");
  }

  #made(conversationId: string, { text, important, replyTo, internal, file, voice: spoken }: Outgoing): MessageView {
    const key = `own-${++this.#count}`;
    const quoted = (this.#all[conversationId] ?? []).find((one) => one.id === replyTo);
    const content = file ?? spoken?.blob;
    if (content !== undefined) {
      this.#files.set(key, content);
    }
    return {
      id: key,
      key,
      clientMsgId: key,
      conversationId,
      senderId: this.#snapshot.me.userId,
      senderName: this.#snapshot.me.name,
      mine: true,
      kind: spoken ? "voice" : file?.type.startsWith("image/") ? "image" : file ? "file" : "text",
      content: text,
      at: this.#now(),
      progress: "sending",
      edited: false,
      deleted: false,
      important: important === true,
      internal: internal === true,
      ...(quoted ? { replyTo: { messageId: quoted.id, senderId: quoted.senderId, content: quoted.content } } : {}),
      ...(content
        ? {
            attachment: {
              id: key,
              name: file?.name ?? "voice.webm",
              contentType: content.type,
              size: content.size,
              ...(spoken ? { durationMs: spoken.durationMs } : {}),
            },
            upload: 0,
          }
        : {}),
    };
  }

  #file(id: string): Blob {
    const [kind, number] = id.split("-");
    const made = kind === "voice" ? voice(Number(number) || DEFAULT_VOICE_MS) : picture(Number(number) || 1);
    return this.#files.get(id) ?? (kind === "pdf" ? new Blob(["%PDF-1.4"], { type: "application/pdf" }) : made);
  }

  async #take(id: string): Promise<void> {
    const taken = this.#snapshot.queue.find((one) => one.id === id);
    if (taken === undefined) {
      throw new Error("Somebody else was faster.");
    }
    this.#all[id] = [];
    const consult = { state: "taken", consultantId: this.#snapshot.me.userId, openedAt: taken.at } as const;
    this.#publish({
      queue: this.#snapshot.queue.filter((one) => one.id !== id),
      conversations: sorted([...this.#snapshot.conversations, { ...taken, member: true, consult }]),
    });
  }

  #leave(id: string): void {
    this.#publish({ conversations: this.#snapshot.conversations.filter((one) => one.id !== id) });
  }

  #append(message: MessageView): void {
    this.#set(message.conversationId, [...(this.#all[message.conversationId] ?? []), message]);
  }

  #replace(key: string, change: (message: MessageView) => MessageView): void {
    for (const [id, messages] of Object.entries(this.#all)) {
      if (messages.some((one) => one.key === key || one.id === key)) {
        this.#set(
          id,
          messages.map((one) => (one.key === key || one.id === key ? change(one) : one)),
        );
      }
    }
  }

  #set(id: string, messages: readonly MessageView[]): void {
    const before = this.#all[id]?.length ?? 0;
    this.#all[id] = messages;
    const timeline = this.#snapshot.timelines[id];
    if (timeline !== undefined) {
      const shown = timeline.messages.length + messages.length - before;
      this.#timeline(id, { ...timeline, messages: shown > 0 ? messages.slice(-shown) : [] });
    }
    const last = messages.at(-1);
    this.#change(id, (one) => (last && one.last !== last ? { ...one, last, at: last.at } : one));
  }

  #conversation(id: string): ConversationView | undefined {
    return this.#snapshot.conversations.find((one) => one.id === id);
  }

  #change(id: string, change: (conversation: ConversationView) => ConversationView): void {
    this.#publish({
      conversations: sorted(this.#snapshot.conversations.map((one) => (one.id === id ? change(one) : one))),
    });
  }

  #timeline(id: string, timeline: TimelineView): void {
    this.#publish({ timelines: { ...this.#snapshot.timelines, [id]: timeline } });
  }

  #publish(more: Partial<ChatSnapshot>): void {
    this.#snapshot = { ...this.#snapshot, ...more };
    for (const listener of this.#listeners) {
      listener();
    }
  }

  #later(paces: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        resolve();
      }, paces * this.#pace);
      this.#timers.add(timer);
    });
  }
}

function sorted(conversations: readonly ConversationView[]): ConversationView[] {
  return [...conversations].sort((one, other) => other.at - one.at);
}
