/** Messages on their way: each is sent again, under its own `client_msg_id`, until it is known what became of it. */

import type { Log } from "../log";
import { exponential } from "../websocket/core/reconnect";
import type { Cancel, Clock } from "../websocket/types";
import { mayRetry } from "./api";
import type { OutboxEntry, OutboxStorage } from "./outboxStorage";

/** What a sent message is known by from then on. */
export interface Sent {
  readonly messageId: string;
  readonly seq: number;
  /** The conversation of the message: an internal note lies in one of its own. */
  readonly conversationId: string;
}

/** Brings one entry to the server; rejects with an error that has a `code`. `entry` may be changed by `update`. */
export type Carry = (
  entry: OutboxEntry,
  bySocket: boolean,
  update: (change: Partial<OutboxEntry>) => Promise<void>,
) => Promise<Sent>;

/** What tabs tell one another of their common entries. */
export type OutboxNews =
  | { readonly kind: "changed" }
  | { readonly kind: "sent"; readonly id: string; readonly sent: Sent };

/** The other tabs of this user. */
export interface OutboxPeers {
  tell(news: OutboxNews): void;
  subscribe(listener: (news: OutboxNews) => void): Cancel;
}

/** Runs `work` in one tab at a time, until `signal` ends it or the wait for it. */
export type Exclusive = (name: string, signal: AbortSignal, work: () => Promise<void>) => Promise<void>;

export interface OutboxDeps {
  readonly userId: string;
  readonly storage: OutboxStorage;
  readonly clock: Clock;
  readonly carry: Carry;
  readonly log: Log;
  /** Something of `conversationId` is different. */
  readonly onChange: (conversationId: string) => void;
  /** Called before the entry is gone, so that the message never is. */
  readonly onSent: (entry: OutboxEntry, sent: Sent) => void;
  readonly peers?: OutboxPeers;
  readonly exclusive?: Exclusive;
}

/** More than a person writes while a connection is away. */
export const OUTBOX_MAX = 500;
const RETRY_BASE_MS = 250;
const RETRY_CAP_MS = 5_000;
/** Of this side: nobody has refused anything. */
const LOCAL: ReadonlySet<string> = new Set(["closed", "timeout", "not_connected", "queue_full", "frame_too_big"]);

/**
 * Messages of one conversation leave in the order of the calls; one that cannot get through holds back the later ones, one
 * that was refused does not. With several tabs one of them sends for all (Web Locks); without locks each sends what it
 * knows, and the server takes the same `client_msg_id` once.
 */
export class Outbox {
  readonly #deps: OutboxDeps;
  readonly #entries = new Map<string, OutboxEntry>();
  /** Entries that the storage is known to have had: gone from there, they were sent or given up elsewhere. */
  readonly #kept = new Set<string>();
  /** Conversations of which something is being sent. */
  readonly #lanes = new Set<string>();
  readonly #pauses = new Set<() => void>();
  readonly #stop = new AbortController();
  #carrying = false;
  #unsubscribe: Cancel = () => undefined;

  constructor(deps: OutboxDeps) {
    this.#deps = deps;
  }

  /** What waits in a conversation, in the order of the calls. */
  of(conversationId: string): OutboxEntry[] {
    return this.#sorted().filter((entry) => entry.conversationId === conversationId);
  }

  get(id: string): OutboxEntry | undefined {
    return this.#entries.get(id);
  }

  /** Finds what an earlier tab left behind, and sends it. */
  async start(): Promise<void> {
    const { peers, exclusive, storage } = this.#deps;
    this.#unsubscribe = peers?.subscribe((news) => this.#heard(news)) ?? (() => undefined);
    await this.#reload();
    if (this.#stop.signal.aborted) return;
    if (exclusive === undefined || !storage.shared) {
      this.#carryAll();
      return;
    }
    void exclusive(`natter:outbox:${this.#deps.userId}`, this.#stop.signal, () => this.#lead()).catch(() => undefined);
  }

  stop(): void {
    this.#stop.abort();
    this.#carrying = false;
    this.#unsubscribe();
    this.ring();
  }

  /** There is a new socket: nobody needs to wait any longer. */
  ring(): void {
    for (const wake of [...this.#pauses]) wake();
  }

  /** Takes it; it is known at once, and kept as soon as the storage has it. Throws if too many wait already. */
  add(entry: OutboxEntry): void {
    if (this.#entries.size >= OUTBOX_MAX) throw new Error(`${OUTBOX_MAX} messages wait already`);
    this.#entries.set(entry.id, entry);
    this.#deps.log("outbox", { event: "added", client_msg_id: entry.id, conversation: entry.conversationId });
    this.#changed(entry);
    void this.#store(entry);
  }

  /** Sends again what was refused. */
  retry(id: string): void {
    const entry = this.#entries.get(id);
    if (entry?.failure === undefined) return;
    const { failure: _, ...again } = entry;
    this.#entries.set(id, again);
    this.#changed(again);
    void this.#store(again);
  }

  /** Gives it up. If it is on its way at this moment, it may still arrive, and is shown then. */
  discard(id: string): void {
    void this.#forget(id);
  }

  /** This tab sends for all until it ends. */
  async #lead(): Promise<void> {
    await this.#reload();
    this.#carryAll();
    if (!this.#stop.signal.aborted) await new Promise((end) => this.#stop.signal.addEventListener("abort", end));
  }

  #carryAll(): void {
    this.#carrying = true;
    for (const { conversationId } of this.#entries.values()) this.#run(conversationId);
  }

  #heard(news: OutboxNews): void {
    if (news.kind === "changed") {
      void this.#reload().then(() => this.#carrying && this.#carryAll());
      return;
    }
    const entry = this.#entries.get(news.id);
    if (entry === undefined) return;
    this.#deps.onSent(entry, news.sent);
    this.#entries.delete(news.id);
    this.#changed(entry);
  }

  /** What the storage has is what counts, but for what it may not have yet. */
  async #reload(): Promise<void> {
    const { storage, userId } = this.#deps;
    const before = new Set(this.#entries.keys());
    const stored = await storage.all(userId).catch(() => undefined);
    if (stored === undefined || !storage.shared || this.#stop.signal.aborted) return;
    const now = new Map(stored.map((entry) => [entry.id, entry]));
    for (const [id, entry] of this.#entries) {
      if (before.has(id) && !now.has(id) && this.#kept.has(id)) {
        this.#entries.delete(id);
        this.#changed(entry);
      }
    }
    for (const entry of now.values()) {
      this.#kept.add(entry.id);
      this.#entries.set(entry.id, entry);
      this.#changed(entry);
    }
  }

  async #store(entry: OutboxEntry): Promise<void> {
    const { storage, peers } = this.#deps;
    try {
      await storage.put(entry);
      this.#kept.add(entry.id);
      if (storage.shared) peers?.tell({ kind: "changed" });
    } catch {
      // No space left: it is sent all the same, by this tab, and only a reload would lose it.
      this.#deps.log("outbox", { event: "not_kept", client_msg_id: entry.id });
      this.#carrying = true;
    }
    if (this.#carrying) this.#run(entry.conversationId);
  }

  async #forget(id: string): Promise<void> {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#entries.delete(id);
    this.#changed(entry);
    await this.#deps.storage.delete(id).catch(() => undefined);
    this.#kept.delete(id);
    if (this.#deps.storage.shared) this.#deps.peers?.tell({ kind: "changed" });
  }

  #run(conversationId: string): void {
    if (this.#lanes.has(conversationId) || this.#stop.signal.aborted) return;
    this.#lanes.add(conversationId);
    void this.#lane(conversationId).finally(() => this.#lanes.delete(conversationId));
  }

  async #lane(conversationId: string): Promise<void> {
    for (;;) {
      const next = this.of(conversationId).find((entry) => entry.failure === undefined);
      if (next === undefined || this.#stop.signal.aborted) return;
      await this.#untilKnown(next.id);
    }
  }

  async #untilKnown(id: string): Promise<void> {
    for (let failures = 0; !this.#stop.signal.aborted; ) {
      const entry = this.#entries.get(id);
      if (entry === undefined || entry.failure !== undefined) return;
      try {
        // What failed on the one way is tried on the other.
        const sent = await this.#deps.carry(entry, failures % 2 === 0, (change) => this.#update(id, change));
        await this.#arrived(this.#entries.get(id) ?? entry, sent);
        return;
      } catch (error) {
        const { code, message, waitMs } = told(error);
        if (!LOCAL.has(code) && !mayRetry({ code })) {
          await this.#update(id, { failure: { code, message } });
          this.#deps.log("outbox", { event: "refused", client_msg_id: id, code });
          return;
        }
        failures += 1;
        await this.#pause(waitMs + this.#deps.clock.random() * exponential(failures, RETRY_BASE_MS, RETRY_CAP_MS));
      }
    }
  }

  async #arrived(entry: OutboxEntry, sent: Sent): Promise<void> {
    this.#deps.log("outbox", { event: "sent", client_msg_id: entry.id, message: sent.messageId, seq: sent.seq });
    this.#deps.onSent(entry, sent);
    this.#deps.peers?.tell({ kind: "sent", id: entry.id, sent });
    await this.#forget(entry.id);
  }

  async #update(id: string, change: Partial<OutboxEntry>): Promise<void> {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    const next = { ...entry, ...change };
    this.#entries.set(id, next);
    this.#changed(next);
    await this.#deps.storage.put(next).catch(() => undefined);
    if (this.#deps.storage.shared) this.#deps.peers?.tell({ kind: "changed" });
  }

  #changed(entry: OutboxEntry): void {
    if (!this.#stop.signal.aborted) this.#deps.onChange(entry.conversationId);
  }

  #sorted(): OutboxEntry[] {
    return [...this.#entries.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        cancel();
        this.#pauses.delete(wake);
        resolve();
      };
      const cancel = this.#deps.clock.after(ms, wake);
      this.#pauses.add(wake);
    });
  }
}

function told(error: unknown): { code: string; message: string; waitMs: number } {
  if (!(error instanceof Error)) return { code: "network", message: "", waitMs: 0 };
  const { code, retryAfterMs } = error as { code?: unknown; retryAfterMs?: unknown };
  // Whatever has no code is nobody's refusal.
  return {
    code: typeof code === "string" ? code : "network",
    message: error.message,
    waitMs: typeof retryAfterMs === "number" ? retryAfterMs : 0,
  };
}
