/** All of a user's streams: what comes in by frame, sync and repair, and the list of things to do about it. Pure. */

import { type StreamEvent, StreamTimeline } from "./timeline";

/** One page of `GET /v1/sync`, as far as the timelines go by it. */
export interface SyncPage {
  readonly events: readonly StreamEvent[];
  /** Of a snapshot: where each conversation stands. */
  readonly conversations?: readonly { readonly id: string; readonly last_seq: number }[];
  readonly userSeq?: number;
  readonly hasMore: boolean;
  readonly reset: boolean;
}

/** Read the conversation's events from `afterSeq` to `untilSeq`, then say how it ended. */
export interface Repair {
  readonly stream: string;
  readonly afterSeq: number;
  readonly untilSeq: number;
  readonly vouched: number;
}

export type Step =
  | { readonly type: "show"; readonly event: StreamEvent }
  | { readonly type: "repair"; readonly repair: Repair }
  /** Only a sync can say what is missing or where something belongs. */
  | { readonly type: "need_sync" }
  /** The timeline begins anew: what lies after `fromSeq` up to `toSeq` is history that was never shown. */
  | { readonly type: "rebased"; readonly stream: string; readonly fromSeq: number; readonly toSeq: number };

export interface TimelineLimits {
  /** Events per stream that may wait above a gap. */
  readonly pendingMax: number;
  /** A hole of a snapshot that is larger is not filled: a page shows history from the server instead. */
  readonly repairMax: number;
  /** Streams that may wait for a sync to explain them. */
  readonly unknownMax: number;
}

const LIMITS: TimelineLimits = { pendingMax: 500, repairMax: 1_000, unknownMax: 1_000 };

/**
 * Merges whatever comes, in whatever order, into streams without a hole and without a repeat. While a sync runs no repair is
 * asked for: most gaps are filled by it.
 */
export class Timelines {
  readonly streams = new Map<string, StreamTimeline>();
  readonly #me: string;
  readonly #mine: string;
  readonly #limits: TimelineLimits;
  #epoch = 0;
  /** Streams with a gap, or with frames that fit nowhere. */
  readonly #unsettled = new Set<string>();
  #syncing = false;
  #inSnapshot = false;
  readonly #named = new Set<string>();
  #epochBeforeSync = 0;
  /** What was known when the sync began of the streams that were not complete then. */
  #seen = new Map<string, number>();

  constructor(userId: string, limits: Partial<TimelineLimits> = {}) {
    this.#me = userId;
    this.#mine = `user:${userId}`;
    this.#limits = { ...LIMITS, ...limits };
  }

  /** A durable frame. */
  live(event: StreamEvent): Step[] {
    if (!this.streams.has(event.stream) && this.#unknownStreams() >= this.#limits.unknownMax)
      return [{ type: "need_sync" }];
    return [...this.#merge(event), ...this.#settle([event.stream])];
  }

  /** A stream is known to reach that far, by a frame whose meaning is not known. */
  hint(stream: string, lastSeq: number): Step[] {
    this.#stream(stream).hint(lastSeq);
    return this.#settle([stream]);
  }

  /** The first page is about to be asked for. */
  beginSync(): void {
    this.#syncing = true;
    this.#inSnapshot = false;
    this.#named.clear();
    this.#epochBeforeSync = this.#epoch;
    this.#seen = new Map([...this.#unsettled].map((name) => [name, this.#stream(name).knownLast]));
  }

  /** One page of the sync, in the order in which they were asked for. */
  syncPage(page: SyncPage): Step[] {
    const touched = new Set<string>();
    const steps = page.conversations === undefined ? [] : this.#snapshotPage(page, page.conversations, touched);
    for (const event of page.events) {
      touched.add(event.stream);
      steps.push(...this.#merge(event));
    }
    return [...steps, ...this.#settle(touched)];
  }

  /** The sync is over, with all its pages or not. */
  endSync(complete: boolean): Step[] {
    this.#syncing = false;
    if (complete) for (const [name, seen] of this.#seen) this.#stream(name).explained(seen);
    return this.#settle([]);
  }

  /** One page of a repair; what it holds follows without a gap on what was asked for. */
  repaired(events: readonly StreamEvent[]): Step[] {
    const steps = events.flatMap((event) => this.#merge(event));
    return [...steps, ...this.#settle(new Set(events.map((event) => event.stream)))];
  }

  /** Whether a page behind `afterSeq` is needed. A membership that ended may have begun again further on. */
  repairGoesOn(repair: Repair, afterSeq: number): boolean {
    const stream = this.#stream(repair.stream);
    const filled = stream.standing === "open" && stream.head >= repair.untilSeq;
    return afterSeq < repair.untilSeq && !filled && stream.standing !== "unreachable";
  }

  /** A repair got all it asked for, and heard that the stream goes to `lastSeq`. */
  repairEnded(repair: Repair, lastSeq: number): Step[] {
    const stream = this.#stream(repair.stream);
    stream.repairing = false;
    stream.hint(lastSeq);
    const from = Math.max(stream.head, repair.untilSeq);
    if (stream.standing !== "left" || lastSeq <= from) return this.#settle([repair.stream]);
    // A stranger would not have been answered: the next membership begins further on.
    stream.repairing = true;
    const onward = { stream: stream.name, afterSeq: from, untilSeq: lastSeq, vouched: stream.vouched };
    return [{ type: "repair", repair: onward }, ...this.#settle([repair.stream])];
  }

  /** The stream is not the user's to read (404); it was asked for when `seen` was the `knownLast`. */
  repairRefused(repair: Repair, seen: number): Step[] {
    const stream = this.#stream(repair.stream);
    stream.repairing = false;
    const believed = stream.standing === "open" && stream.vouched === repair.vouched;
    const steps = believed ? this.#shown(stream.unreachable(this.#nextEpoch(), seen)) : [];
    return [...steps, ...this.#settle([repair.stream])];
  }

  /** What was learned of a conversation over HTTP, outside of a sync: where it stands, and that the user takes part. */
  opened(conversationId: string, lastSeq: number): Step[] {
    const stream = this.#stream(`conversation:${conversationId}`);
    const steps = this.#conversationHead(stream, lastSeq);
    return [...steps, ...this.#settle([stream.name])];
  }

  /** Whether something is missing that only a sync can bring. */
  get wantsSync(): boolean {
    return [...this.#unsettled].some((name) => name === this.#mine || this.#stream(name).puzzled);
  }

  /** Whether the user's own stream has a hole below what increments brought: only a snapshot gets over it. */
  get stuck(): boolean {
    const own = this.streams.get(this.#mine);
    return own?.gapped === true && [...own.pending.values()].some((held) => held.source === "sync");
  }

  #snapshotPage(page: SyncPage, conversations: NonNullable<SyncPage["conversations"]>, touched: Set<string>): Step[] {
    const steps: Step[] = [];
    const first = page.reset || !this.#inSnapshot;
    if (first) this.#named.clear();
    if (page.userSeq !== undefined) {
      touched.add(this.#mine);
      steps.push(...this.#ownHead(page.userSeq, first));
    }
    for (const conversation of conversations) {
      const name = `conversation:${conversation.id}`;
      touched.add(name);
      this.#named.add(name);
      steps.push(...this.#conversationHead(this.#stream(name), conversation.last_seq));
    }
    this.#inSnapshot = page.hasMore;
    if (!page.hasMore) steps.push(...this.#closeUnnamed(touched));
    return steps;
  }

  #ownHead(userSeq: number, first: boolean): Step[] {
    const own = this.#stream(this.#mine);
    if (own.standing === "unknown") {
      own.open(userSeq, this.#nextEpoch());
      return this.#shown(own.flow(this.#nextEpoch()));
    }
    if (!first || userSeq <= own.head) {
      own.hint(userSeq);
      return [];
    }
    // Increments begin at the first page: what lies between came before it, and there is no other way to it.
    return this.#rebase(own, userSeq);
  }

  #conversationHead(stream: StreamTimeline, lastSeq: number): Step[] {
    stream.vouched = this.#nextEpoch();
    if (stream.standing === "unknown") {
      // Frames that came before the snapshot are shown, too: somebody was there to see them.
      const base = Math.min(lastSeq, ...[...stream.pending.keys()].map((seq) => seq - 1));
      stream.open(base, this.#nextEpoch());
      stream.hint(lastSeq);
      return this.#shown(stream.flow(this.#nextEpoch()));
    }
    if (stream.standing === "left") {
      // Joined again, and where is not known. (Not above `head`: the page is older than the end.)
      return lastSeq > stream.head ? this.#rebase(stream, lastSeq) : [];
    }
    if (stream.standing === "unreachable" && lastSeq > stream.head) {
      stream.standing = "open";
      stream.epoch = this.#nextEpoch();
    }
    stream.hint(lastSeq);
    const tooFar = stream.standing === "open" && lastSeq - stream.head > this.#limits.repairMax;
    return tooFar ? this.#rebase(stream, lastSeq) : [];
  }

  #closeUnnamed(touched: Set<string>): Step[] {
    const steps: Step[] = [];
    for (const [name, stream] of [...this.streams]) {
      // What was opened since the sync began may be newer than the page that would have named it.
      const knownBefore = stream.epoch <= this.#epochBeforeSync;
      if (stream.standing !== "open" || !knownBefore || name === this.#mine || this.#named.has(name)) continue;
      touched.add(name);
      steps.push(...this.#shown(stream.unreachable(this.#nextEpoch(), this.#seen.get(name) ?? 0)));
    }
    return steps;
  }

  #rebase(stream: StreamTimeline, base: number): Step[] {
    const rebased: Step = { type: "rebased", stream: stream.name, fromSeq: stream.head, toSeq: base };
    return [rebased, ...this.#shown(stream.rebase(base, this.#nextEpoch()))];
  }

  #merge(event: StreamEvent): Step[] {
    const stream = this.#stream(event.stream);
    // Increments are complete from their cursor on.
    const opens = event.stream === this.#mine && stream.standing === "unknown" && event.source === "sync";
    if (opens) stream.open(event.seq - 1, this.#nextEpoch());
    return this.#shown(stream.merge(event, this.#nextEpoch()));
  }

  #shown(events: readonly StreamEvent[]): Step[] {
    return events.flatMap((event) => {
      const step: Step = { type: "show", event };
      const ofMembership = event.stream === this.#mine && /^user\.conversation_(joined|left)$/.test(event.type);
      return ofMembership ? [step, ...this.#membership(event)] : [step];
    });
  }

  /** The user's own note of a membership: what a device that was away learns of it by. */
  #membership(event: StreamEvent): Step[] {
    const { conversation_id: id, at_seq: atSeq } = event.data;
    if (typeof id !== "string" || typeof atSeq !== "number") return [];
    const stream = this.#stream(`conversation:${id}`);
    this.#unsettled.add(stream.name);
    if (event.type === "user.conversation_left") return this.#shown(stream.left(atSeq, this.#nextEpoch()));
    if (atSeq <= stream.head) return [];
    let steps: Step[] = [];
    if (stream.standing !== "open") {
      stream.open(atSeq - 1, this.#nextEpoch());
      steps = this.#shown(stream.flow(this.#nextEpoch()));
    }
    stream.vouched = this.#nextEpoch();
    stream.hint(atSeq);
    return steps;
  }

  /** What the streams need that were touched, and those that needed something before. */
  #settle(touched: Iterable<string>): Step[] {
    const steps: Step[] = [];
    let needSync = false;
    for (const name of [...new Set([...touched, ...this.#unsettled])].sort()) {
      const stream = this.#stream(name);
      if (!stream.gapped && !stream.puzzled) {
        this.#unsettled.delete(name);
        continue;
      }
      this.#unsettled.add(name);
      if (this.#syncing) continue;
      if (name === this.#mine || stream.puzzled) {
        needSync = true;
      } else if (!stream.repairing) {
        stream.repairing = true;
        const repair = { stream: name, afterSeq: stream.head, untilSeq: stream.knownLast, vouched: stream.vouched };
        steps.push({ type: "repair", repair });
      }
    }
    return needSync ? [...steps, { type: "need_sync" }] : steps;
  }

  #stream(name: string): StreamTimeline {
    let stream = this.streams.get(name);
    if (stream === undefined) {
      stream = new StreamTimeline(name, this.#me, this.#limits.pendingMax);
      this.streams.set(name, stream);
    }
    return stream;
  }

  #unknownStreams(): number {
    return [...this.#unsettled].filter((name) => this.#stream(name).standing === "unknown").length;
  }

  #nextEpoch(): number {
    this.#epoch += 1;
    return this.#epoch;
  }
}
