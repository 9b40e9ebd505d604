/** Makes snapshots of the records when they have changed, and tells who listens: once per turn, however much came. */

import type { ConnectionStatus } from "../websocket/types";
import type { ChatSnapshot, ConversationView, MessageView, TimelineView } from "./model";
import type { Outbox } from "./outbox";
import type { ConversationRecord, Records } from "./records";
import { consultOnly, conversationView, entryView, same, timelineView } from "./views";

export class Snapshots {
  readonly #records: Records;
  readonly #status: () => ConnectionStatus;
  readonly #outbox: Outbox;
  readonly #uploads: ReadonlyMap<string, number>;
  readonly #listeners = new Set<() => void>();
  readonly #views = new Map<string, ConversationView>();
  #timelines: Readonly<Record<string, TimelineView | undefined>> = {};
  #current: ChatSnapshot;
  #scheduled = false;
  ready = false;

  constructor(records: Records, status: () => ConnectionStatus, outbox: Outbox, uploads: ReadonlyMap<string, number>) {
    this.#records = records;
    this.#status = status;
    this.#outbox = outbox;
    this.#uploads = uploads;
    this.#current = {
      me: records.me,
      status: status(),
      ready: false,
      conversations: [],
      queue: [],
      timelines: {},
      notifications: [],
    };
  }

  get current(): ChatSnapshot {
    return this.#current;
  }

  subscribe(listener: () => void): () => void {
    const own = () => listener();
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  /** Something has changed: a snapshot is made soon. */
  changed(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => this.#scheduled && this.flush());
  }

  /** Makes it now. */
  flush(): void {
    this.#scheduled = false;
    const dirty = [...this.#records.dirty];
    this.#records.dirty.clear();
    for (const id of dirty) this.#view(id);
    const next = same(this.#current, this.#make());
    if (next === this.#current) return;
    this.#current = next;
    for (const listener of [...this.#listeners]) listener();
  }

  #make(): ChatSnapshot {
    const records = this.#records;
    const views = [...this.#views.values()];
    const queue = [...records.consults.values()]
      .filter((consult) => consult.state !== "closed")
      .map((consult) => this.#views.get(consult.conversation_id) ?? consultOnly(records, consult));
    return {
      me: records.me,
      status: this.#status(),
      ready: this.ready,
      conversations: views.filter((view) => view.member).sort((a, b) => b.at - a.at || (a.id < b.id ? -1 : 1)),
      queue: queue.sort((a, b) => (a.consult?.openedAt ?? 0) - (b.consult?.openedAt ?? 0)),
      timelines: this.#timelines,
      notifications: [...records.notifications.values()].sort((a, b) => b.at - a.at),
    };
  }

  #view(id: string): void {
    const conversation = this.#records.conversations.get(id);
    if (conversation === undefined || conversation.notesOf !== undefined) {
      this.#views.delete(id);
      return;
    }
    const waiting = this.#waiting(conversation);
    const pending = waiting.filter((message) => !message.internal).at(-1);
    this.#views.set(id, same(this.#views.get(id), conversationView(this.#records, conversation, pending)));
    const shown = conversation.opened > 0 || this.#timelines[id] !== undefined;
    if (!shown) return;
    const view = timelineView(this.#records, conversation, this.#notes(id), waiting);
    const next = same(this.#timelines[id], view);
    if (next !== this.#timelines[id]) this.#timelines = { ...this.#timelines, [id]: next };
  }

  #waiting(conversation: ConversationRecord): MessageView[] {
    const entries = this.#outbox.of(conversation.id);
    return entries.map((entry) => entryView(this.#records, conversation, entry, this.#uploads.get(entry.id)));
  }

  #notes(id: string): ConversationRecord | undefined {
    for (const conversation of this.#records.conversations.values())
      if (conversation.notesOf === id) return conversation;
    return undefined;
  }
}
