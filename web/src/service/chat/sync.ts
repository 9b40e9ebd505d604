/** Keeps the timelines complete: does what they ask for, syncs in time, fills gaps. */

import type { Log } from "../log";
import { exponential } from "../websocket/core/reconnect";
import type { Cancel, Clock, ServerFrame } from "../websocket/types";
import { ApiError, type Schemas } from "./api";
import { eventOfFrame, eventsOfPage } from "./events";
import type { StreamEvent } from "./timeline";
import type { Repair, Step, Timelines } from "./timelines";

type Conversation = Schemas["ConversationOut"];

/** Where the record is read. */
export interface EventRecord {
  sync(cursor: string | undefined): Promise<Schemas["SyncOut"]>;
  events(conversationId: string, afterSeq: number): Promise<Schemas["EventPage"]>;
}

export interface KeeperEvents {
  /** An event in its place: each once, and in order within its stream. */
  onShow(event: StreamEvent): void;
  /** Conversations as a snapshot has them; called before what is shown of them. */
  onSnapshot(conversations: readonly Conversation[]): void;
  /** What is known of the stream ends before a hole that nobody fills: history is to be read again. */
  onRebased(stream: string): void;
  /** A sync has ended with all its pages. */
  onSynced(): void;
}

const SECOND_SYNC_MS = 2_000;
/** So long a page waits for its first socket: then it shows what the record has. */
const NO_SOCKET_MS = 3_000;
const RESYNC_JITTER_MS = 1_000;
const SPACING_MS = 1_000;
const RETRY_BASE_MS = 500;
const RETRY_CAP_MS = 30_000;
const REPAIRS_MAX = 4;
/** Snapshots that one sync may need: a cursor that is too old again and again is a bug of the server. */
const SNAPSHOTS_MAX = 3;

/** One sync at a time, a few repairs side by side, and what is shown in the order of the streams. */
export class Keeper {
  readonly #record: EventRecord;
  readonly #timelines: Timelines;
  readonly #clock: Clock;
  readonly #events: KeeperEvents;
  readonly #log: Log;
  #cursor: string | undefined;
  #online = false;
  /** Nothing is known yet: then, and only then, a sync does not wait for a socket. */
  #empty = true;
  #stopped = false;
  #running = false;
  #again = false;
  #failures = 0;
  #intervalMs = 30_000;
  #spacingMs = SPACING_MS;
  #spacedFrom = Number.NEGATIVE_INFINITY;
  #due: { readonly at: number; readonly cancel: Cancel } | undefined;
  #cancelSecond: Cancel = () => undefined;
  #repairing = 0;
  readonly #repairs: Repair[] = [];
  readonly #pauses = new Set<() => void>();

  constructor(record: EventRecord, timelines: Timelines, clock: Clock, events: KeeperEvents, log: Log) {
    this.#record = record;
    this.#timelines = timelines;
    this.#clock = clock;
    this.#events = events;
    this.#log = log;
  }

  /** A socket is on its way; whoever cannot have one sees his conversations all the same. */
  begin(): void {
    if (!this.#online) this.#soon(NO_SOCKET_MS);
  }

  /** There is a socket: whatever is accepted from now on comes as a frame; what came before, by sync. */
  connected(syncIntervalMs: number): void {
    this.#online = true;
    this.#failures = 0;
    this.#intervalMs = syncIntervalMs;
    this.#soon(0);
    // A second one: the first may have begun below the fence of what was under way.
    this.#cancelSecond();
    this.#cancelSecond = this.#clock.after(SECOND_SYNC_MS, () => this.#failures === 0 && this.sync());
    for (const wake of [...this.#pauses]) wake();
  }

  /** No socket, no syncs: the next one begins with the next socket. */
  disconnected(): void {
    this.#online = false;
    this.#due?.cancel();
    this.#due = undefined;
    this.#cancelSecond();
    this.begin();
  }

  /** Nothing is read or shown any more. */
  stop(): void {
    this.#stopped = true;
    this.disconnected();
    for (const wake of [...this.#pauses]) wake();
  }

  /** A durable frame came. */
  frame(frame: ServerFrame): void {
    if (frame.stream === undefined || frame.seq === undefined) return;
    const event = eventOfFrame(frame);
    this.do(event === undefined ? this.#timelines.hint(frame.stream, frame.seq) : this.#timelines.live(event));
  }

  /** The server may have missed something: so did all its other clients. */
  resync(): void {
    this.#soon(RESYNC_JITTER_MS * this.#clock.random());
  }

  /** Sync now; if one is running, once more after it. */
  sync(): void {
    if (this.#stopped) return;
    if (this.#running) {
      this.#again = true;
      return;
    }
    this.#running = true;
    void this.#sync();
  }

  /** Does what the timelines ask for. */
  do(steps: readonly Step[]): void {
    if (this.#stopped) return;
    for (const step of steps) {
      if (step.type === "show") this.#show(step.event);
      else if (step.type === "repair") this.#queueRepair(step.repair);
      else if (step.type === "rebased") this.#events.onRebased(step.stream);
      else this.#needSync();
    }
  }

  #show(event: StreamEvent): void {
    this.#log("merged", { stream: event.stream, seq: event.seq, type: event.type, source: event.source });
    this.#events.onShow(event);
  }

  async #sync(): Promise<void> {
    this.#timelines.beginSync();
    try {
      await this.#pages();
    } catch (error) {
      this.#running = false;
      this.do(this.#timelines.endSync(false));
      this.#failed(error);
      return;
    }
    this.#running = false;
    this.#failures = 0;
    this.#empty = false;
    this.do(this.#timelines.endSync(true));
    if (this.#stopped) return;
    this.#events.onSynced();
    this.#next();
  }

  async #pages(): Promise<void> {
    let cursor = this.#cursor;
    let confirmed = false;
    for (let snapshots = 0; !this.#stopped; ) {
      const page = await this.#record.sync(cursor);
      if (this.#stopped) return;
      const snapshot = page.conversations ?? undefined;
      if (snapshot !== undefined) this.#events.onSnapshot(snapshot);
      this.do(
        this.#timelines.syncPage({
          events: eventsOfPage(page.events ?? [], "sync"),
          ...(snapshot !== undefined && { conversations: snapshot }),
          ...(typeof page.user_seq === "number" && { userSeq: page.user_seq }),
          hasMore: page.has_more,
          reset: page.reset ?? false,
        }),
      );
      if (page.has_more && page.next_cursor === cursor) throw new ApiError("internal", "sync does not get on");
      cursor = page.next_cursor;
      // A snapshot in part is no place to go on from.
      if (snapshot === undefined || !page.has_more) this.#cursor = cursor;
      if (snapshot === undefined && !page.has_more) {
        if (confirmed || (page.events ?? []).length === 0) return;
        // Once more, with the cursor that came with them: it says that they arrived, and need no push.
        confirmed = true;
      }
      // Behind a snapshot, what happened while its pages were read.
      if (snapshot !== undefined && !page.has_more) snapshots += 1;
      if (snapshots > SNAPSHOTS_MAX) throw new ApiError("internal", "sync does not get on: snapshot after snapshot");
    }
  }

  #failed(error: unknown): void {
    this.#failures += 1;
    this.#again = false;
    let wait = this.#wait(this.#failures, error);
    if (error instanceof ApiError && error.code === "validation_failed" && this.#cursor !== undefined) {
      // Not a cursor of this server (any more): a snapshot is always to be had.
      this.#cursor = undefined;
      wait = 0;
    }
    this.#log("repair", { event: "sync_failed", why: codeOf(error), again_in_ms: Math.round(wait) });
    this.#soon(wait);
  }

  #next(): void {
    let again = this.#again;
    this.#again = false;
    if (this.#timelines.stuck) {
      this.#cursor = undefined;
      again = true;
    }
    this.#spacingMs = this.#timelines.wantsSync ? Math.min(this.#spacingMs * 2, this.#intervalMs) : SPACING_MS;
    this.#soon(again ? 0 : this.#intervalMs * (0.8 + 0.2 * this.#clock.random()));
  }

  #needSync(): void {
    // What is missing may lie above the fence for a while: asking without a pause would not bring it sooner.
    if (!this.#online) return;
    const now = this.#clock.now();
    const wait = Math.max(0, this.#spacedFrom + this.#spacingMs - now);
    this.#spacedFrom = now + wait;
    this.#soon(wait);
  }

  /** Sync within so much time; an earlier moment stays. */
  #soon(ms: number): void {
    if (this.#stopped || !(this.#online || this.#empty)) return;
    const at = this.#clock.now() + ms;
    if (this.#due !== undefined && this.#due.at <= at) return;
    this.#due?.cancel();
    const cancel = this.#clock.after(ms, () => {
      this.#due = undefined;
      this.sync();
    });
    this.#due = { at, cancel };
  }

  #queueRepair(repair: Repair): void {
    this.#repairs.push(repair);
    while (this.#repairing < REPAIRS_MAX) {
      const next = this.#repairs.shift();
      if (next === undefined) return;
      this.#repairing += 1;
      void this.#repair(next).finally(() => {
        this.#repairing -= 1;
        const waiting = this.#repairs.shift();
        if (waiting !== undefined) this.#queueRepair(waiting);
      });
    }
  }

  /** Reads what is missing, page by page, however long it takes; ends early if it is no longer missing. */
  async #repair(repair: Repair): Promise<void> {
    this.#log("repair", { stream: repair.stream, after: repair.afterSeq, until: repair.untilSeq });
    let { afterSeq } = repair;
    let lastSeq = 0;
    for (let failures = 0; !this.#stopped && this.#timelines.repairGoesOn(repair, afterSeq); ) {
      const seen = this.#timelines.streams.get(repair.stream)?.knownLast ?? 0;
      try {
        const page = await this.#record.events(repair.stream.replace(/^conversation:/, ""), afterSeq);
        const events = eventsOfPage(page.events, "repair");
        const end = events.at(-1);
        if (end === undefined) throw new ApiError("network", "the stream ends before what was heard of it");
        failures = 0;
        this.do(this.#timelines.repaired(events));
        afterSeq = end.seq;
        lastSeq = page.last_seq;
      } catch (error) {
        if (codeOf(error) === "not_found" || codeOf(error) === "forbidden") {
          this.do(this.#timelines.repairRefused(repair, seen));
          return;
        }
        failures += 1;
        await this.#pause(this.#wait(failures, error));
      }
    }
    this.do(this.#timelines.repairEnded(repair, lastSeq));
  }

  #wait(failures: number, error: unknown): number {
    const asked = error instanceof ApiError ? error.retryAfterMs : 0;
    return asked + this.#clock.random() * exponential(failures, RETRY_BASE_MS, RETRY_CAP_MS);
  }

  /** Waits that long, or until there is a new socket, or the end. */
  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        cancel();
        this.#pauses.delete(wake);
        resolve();
      };
      const cancel = this.#clock.after(ms, wake);
      this.#pauses.add(wake);
    });
  }
}

function codeOf(error: unknown): string {
  return error instanceof ApiError ? error.code : error instanceof Error ? error.name : "unknown";
}
