/** What runs behind a chat store: the connection's frames on their way into the records, and messages on their way out. */

import type { Log } from "../log";
import { messageEventHandler } from "../websocket/handlers/messageEventHandler";
import type { Cancel, Clock, Connection, ConnectionState } from "../websocket/types";
import { type Api, ApiError, mayRetry } from "./api";
import { carrier } from "./carrier";
import { Consults } from "./consults";
import { Details, LIST_MAX } from "./details";
import { Files, type ObjectUrls } from "./files";
import { History } from "./history";
import { uuid7 } from "./ids";
import type { Me } from "./model";
import { type Exclusive, Outbox, type OutboxPeers, type Sent } from "./outbox";
import type { OutboxEntry, OutboxStorage } from "./outboxStorage";
import { messageOf } from "./outgoing";
import { type ConversationRecord, conversationOf, emptyRecords, type Records, touch } from "./records";
import { applyConversation, applyCursor, applyEvent, applyMessage, applyNotification } from "./reduce";
import { Signals } from "./signals";
import { Snapshots } from "./snapshots";
import { type EventRecord, Keeper } from "./sync";
import type { StreamEvent } from "./timeline";
import { Timelines } from "./timelines";
import type { Uploads } from "./uploads";

const HISTORY_RETRY_MS = 2_000;

export interface ChatDeps {
  readonly me: Me;
  readonly connection: Connection;
  readonly api: Api;
  readonly uploads: Uploads;
  readonly clock: Clock;
  readonly storage: OutboxStorage;
  readonly log: Log;
  readonly urls: ObjectUrls;
  /** The other tabs of this user, and how one of them is chosen to send for all; missing: each for itself. */
  readonly peers?: OutboxPeers;
  readonly exclusive?: Exclusive;
}

export class Engine {
  readonly records: Records;
  readonly outbox: Outbox;
  readonly signals: Signals;
  readonly details: Details;
  readonly history: History;
  readonly consults: Consults;
  readonly files: Files;
  readonly snapshots: Snapshots;
  readonly deps: ChatDeps;
  readonly #uploading = new Map<string, number>();
  readonly #timelines: Timelines;
  readonly #keeper: Keeper;
  #unsubscribe: readonly Cancel[] = [];
  readonly #retries = new Set<Cancel>();
  #stopped = false;
  /** Of the socket that the rest knows of. */
  #connectionId: string | undefined;

  constructor(deps: ChatDeps) {
    const { api, clock, connection, log } = deps;
    const changed = () => this.snapshots.changed();
    this.deps = deps;
    this.records = emptyRecords(deps.me);
    this.#timelines = new Timelines(deps.me.userId);
    this.outbox = this.#makeOutbox();
    const status = () => connection.state.status;
    this.snapshots = new Snapshots(this.records, status, this.outbox, this.#uploading);
    this.signals = new Signals(connection, api, clock, this.records, changed);
    this.details = new Details(api, this.records, clock, changed);
    this.history = new History(api, this.records, changed);
    this.files = new Files((id) => api.attachment(id), deps.urls);
    this.consults = new Consults(api, this.records, {
      changed,
      joined: (id) => this.joined(id),
      newKey: () => uuid7(clock.wall()),
    });
    this.#keeper = new Keeper(this.#record(), this.#timelines, clock, this.#keeperEvents(), log);
  }

  run(): void {
    const { connection } = this.deps;
    const handle = this.#handler();
    this.#unsubscribe = [
      connection.onFrame((frame) => {
        this.deps.log("received", { action: frame.action, stream: frame.stream, seq: frame.seq });
        this.#keeper.frame(frame);
        handle(frame);
      }),
      connection.subscribe((state) => this.#connectionChanged(state)),
    ];
    this.#connectionChanged(connection.state);
    this.#keeper.begin();
    void this.outbox.start();
  }

  stop(): void {
    this.#stopped = true;
    for (const cancel of [...this.#unsubscribe, ...this.#retries]) cancel();
    this.#keeper.stop();
    this.outbox.stop();
    this.signals.stop();
    this.details.stop();
    this.files.stop();
    this.deps.storage.close();
  }

  /** Reads what a conversation that is looked at needs, until it is there. */
  load(conversation: ConversationRecord): void {
    const notes = [...this.records.conversations.values()].filter((one) => one.notesOf === conversation.id);
    for (const one of [conversation, ...notes]) {
      this.history.load(one).catch((error: unknown) => this.#notLoaded(conversation, error));
    }
  }

  #notLoaded(conversation: ConversationRecord, error: unknown): void {
    this.deps.log("repair", { event: "no_history", conversation: conversation.id, why: String(error) });
    if (this.#stopped || !(error instanceof ApiError) || !mayRetry(error)) return;
    const { clock } = this.deps;
    const wait = HISTORY_RETRY_MS * (1 + clock.random()) + error.retryAfterMs;
    this.#retries.add(
      clock.after(wait, () => {
        if (conversation.opened > 0) this.load(conversation);
      }),
    );
  }

  /** The server's answer says that this user takes part, perhaps before any frame does. */
  joined(conversationId: string, lastSeq?: number): void {
    if (lastSeq === undefined) this.#keeper.sync();
    else this.#keeper.do(this.#timelines.opened(conversationId, lastSeq));
    this.details.want(conversationOf(this.records, conversationId), true);
    this.signals.follow();
    this.snapshots.flush();
  }

  #makeOutbox(): Outbox {
    const { api, connection, uploads, me, storage, clock, log, peers, exclusive } = this.deps;
    const changed = (conversationId: string) => {
      touch(this.records, conversationId);
      this.snapshots.changed();
    };
    const onProgress = (entry: OutboxEntry, part: number) => {
      this.#uploading.set(entry.id, part);
      changed(entry.conversationId);
    };
    return new Outbox({
      userId: me.userId,
      storage,
      clock,
      log,
      carry: carrier({ api, connection, uploads, log, onProgress }),
      onChange: (conversationId) => {
        conversationOf(this.records, conversationId);
        changed(conversationId);
      },
      onSent: (entry, sent) => this.#sent(entry, sent),
      ...(peers !== undefined && { peers }),
      ...(exclusive !== undefined && { exclusive }),
    });
  }

  #sent(entry: OutboxEntry, sent: Sent): void {
    this.#uploading.delete(entry.id);
    if (sent.conversationId !== entry.conversationId) {
      const notes = conversationOf(this.records, sent.conversationId);
      notes.notesOf = entry.conversationId;
      // What was said there before is read with it.
      if (conversationOf(this.records, entry.conversationId).opened > 0) this.load(notes);
    }
    const conversation = conversationOf(this.records, sent.conversationId);
    const echoed = conversation.messages.has(sent.messageId) || conversation.last?.id === sent.messageId;
    // The server's own word of it, if it was quicker, knows more.
    if (!echoed) applyMessage(this.records, messageOf(this.records.me, entry, sent), false);
  }

  #record(): EventRecord {
    const { api } = this.deps;
    return {
      sync: (cursor) =>
        api.call((client) => client.GET("/v1/sync", { params: { query: cursor === undefined ? {} : { cursor } } })),
      events: (id, afterSeq) => {
        const params = { path: { conversation_id: id }, query: { after_seq: afterSeq, limit: 200 } };
        return api.call((client) => client.GET("/v1/conversations/{conversation_id}/events", { params }));
      },
    };
  }

  #keeperEvents() {
    return {
      onShow: (event: StreamEvent) => this.#show(event),
      onSnapshot: (conversations: readonly Parameters<typeof applyConversation>[1][]) => {
        for (const told of conversations) applyConversation(this.records, told);
        this.snapshots.changed();
      },
      onRebased: (stream: string) => {
        const conversation = this.records.conversations.get(stream.replace(/^conversation:/, ""));
        if (conversation === undefined) return;
        this.history.forget(conversation);
        if (conversation.opened > 0) this.load(conversation);
      },
      onSynced: () => this.#synced(),
    };
  }

  #show(event: StreamEvent): void {
    applyEvent(this.records, event);
    const id = event.data.conversation_id;
    const conversation = typeof id === "string" ? this.records.conversations.get(id) : undefined;
    if (conversation !== undefined && /^(participant|conversation)\./.test(event.type)) {
      this.details.want(conversation);
      this.signals.follow();
    }
    this.deps.log("stored", { stream: event.stream, seq: event.seq, type: event.type });
    this.snapshots.changed();
  }

  #synced(): void {
    this.snapshots.ready = true;
    const listed = [...this.records.conversations.values()].filter((one) => one.member).sort((a, b) => b.at - a.at);
    for (const conversation of listed.slice(0, LIST_MAX)) this.details.want(conversation);
    this.signals.follow();
    this.snapshots.changed();
  }

  #handler() {
    const cursor = (id: string, userId: string, read: number, delivered: number) => {
      applyCursor(this.records, id, userId, read, delivered);
      this.snapshots.changed();
    };
    return messageEventHandler({
      typing: ({ data }) => this.signals.heardTyping(data.conversation_id, data.user_id, data.is_typing),
      presence: ({ data }) => this.signals.heardPresence(data.user_id, data.online, data.device_types ?? []),
      // One's own cursor is durable, and comes in its place.
      read: ({ data, stream }) => stream === undefined && cursor(data.conversation_id, data.user_id, data.seq, 0),
      delivered: ({ data }) => cursor(data.conversation_id, data.user_id, 0, data.seq),
      consult_updated: ({ data }) => this.consults.heard({ ...data }),
      resync: () => this.#keeper.resync(),
    });
  }

  #connectionChanged(state: ConnectionState): void {
    const { welcome } = state;
    this.snapshots.changed();
    if (welcome?.connectionId === this.#connectionId) return;
    this.#connectionId = welcome?.connectionId;
    this.deps.log("connection", { status: state.status, connection: welcome?.connectionId, edge: welcome?.edgeId });
    if (welcome === undefined) {
      this.#keeper.disconnected();
      this.signals.disconnected();
      return;
    }
    this.#keeper.connected(welcome.syncIntervalMs);
    this.signals.connected();
    this.outbox.ring();
    for (const conversation of this.records.conversations.values()) {
      if (conversation.opened > 0) {
        this.load(conversation);
        // Cursors of others come live alone: what moved while there was no socket is asked for, where somebody looks.
        conversation.detailed = false;
        this.details.want(conversation, true);
      }
    }
    void this.#refreshLists();
  }

  async #refreshLists(): Promise<void> {
    const failed = (error: unknown) => this.deps.log("repair", { event: "list_failed", why: String(error) });
    await this.consults.refresh().catch(failed);
    try {
      const page = await this.deps.api.call((client) =>
        client.GET("/v1/notifications", { params: { query: { limit: 50 } } }),
      );
      if (this.#stopped) return;
      for (const told of page.notifications) applyNotification(this.records, told);
      this.snapshots.changed();
    } catch (error) {
      failed(error);
    }
  }
}
