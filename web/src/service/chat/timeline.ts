/**
 * What a client knows of one stream, and how an event finds its place in it. Pure.
 *
 * A live frame is a hint, the sequence is the contract: events are shown strictly in the order of `seq`, and what lies above
 * a gap waits until the gap is filled.
 *
 * ```
 * unknown ── created with me, joined(me), snapshot ──► open ── left(me) ──► left
 *                                                       │ ▲                  │
 *                            404, not in the snapshot   ▼ │ snapshot         │ joined(me)
 *                                                   unreachable ─────────────┴──► open, from that seq
 * ```
 */

/** Where an event came from first. */
export type Source = "live" | "sync" | "repair";

/** An event with its place; once it is shown, everything below it of that membership was. */
export interface StreamEvent {
  readonly stream: string;
  readonly seq: number;
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly source: Source;
}

/**
 * What the user is to a stream, as far as the client knows. `left`: nothing is shown until another membership begins.
 * `unreachable`: the server shows it to this user no more, and where the membership ended was not seen.
 */
export type Standing = "unknown" | "open" | "left" | "unreachable";

/** One stream: shown up to `head` without a hole, and what waits above a gap. */
export class StreamTimeline {
  readonly name: string;
  head = 0;
  /** The highest seq that the stream is known to have. */
  knownLast = 0;
  standing: Standing = "unknown";
  readonly pending = new Map<number, StreamEvent>();
  /** Changes with each opening. */
  epoch = 0;
  /** Changes whenever a sync says that the user takes part: a refusal that was asked for before is old. */
  vouched = 0;
  repairing = false;
  readonly #me: string;
  readonly #pendingMax: number;

  constructor(name: string, me: string, pendingMax: number) {
    this.name = name;
    this.#me = me;
    this.#pendingMax = pendingMax;
  }

  /** Whether something is known to be missing that can be had. */
  get gapped(): boolean {
    return this.standing === "open" && this.head < this.knownLast;
  }

  /** Whether frames came that fit nowhere yet: only a sync can say where they belong. */
  get puzzled(): boolean {
    return this.standing !== "open" && this.pending.size > 0;
  }

  /** What is to be shown now, in order. `epoch` is given to the stream if the event opens it. */
  merge(event: StreamEvent, epoch: number): StreamEvent[] {
    if (event.seq <= this.head || this.pending.has(event.seq)) return [];
    this.knownLast = Math.max(this.knownLast, event.seq);
    if (event.source === "sync") this.vouched = epoch;
    if (this.standing !== "open" && this.#begins(event)) {
      this.open(event.seq - 1, epoch);
    } else if (this.standing !== "open" && this.#ends(event) && event.seq !== this.head + 1) {
      return this.left(event.seq, epoch);
    } else if (this.standing === "unknown" || this.standing === "left") {
      // By sync and repair everything comes in order: this lies before a membership that is still to come.
      if (event.source === "live") this.#hold(event);
      return [];
    } else if (this.standing === "unreachable" && event.source === "sync") {
      // Increments hold only what the user takes part in: it can be read again.
      this.standing = "open";
      this.epoch = epoch;
    }
    if (event.seq !== this.head + 1) {
      this.#hold(event);
      return [];
    }
    this.pending.set(event.seq, event);
    return this.flow(epoch);
  }

  /** Shows what follows on `head` without a gap. */
  flow(epoch: number): StreamEvent[] {
    const shown: StreamEvent[] = [];
    for (let event = this.pending.get(this.head + 1); event !== undefined; event = this.pending.get(this.head + 1)) {
      this.pending.delete(event.seq);
      shown.push(event);
      this.head = event.seq;
      if (this.#ends(event)) this.#end("left", epoch);
    }
    return shown;
  }

  /** A membership begins: history up to `base`, everything above it is to be shown. */
  open(base: number, epoch: number): void {
    this.head = base;
    this.hint(base);
    this.standing = "open";
    this.epoch = epoch;
    this.vouched = epoch;
    this.#forgetBelow(base);
  }

  /** The user's own stream says that the membership ended there. */
  left(atSeq: number, epoch: number): StreamEvent[] {
    if (atSeq <= this.head) return [];
    this.head = atSeq;
    this.hint(atSeq);
    this.#end("left", epoch);
    return this.flow(epoch);
  }

  /**
   * The server does not show this stream to the user any more; it was asked when `seen` was known. Whatever lies at or below
   * was of memberships that have ended; what came later may be of the next one.
   */
  unreachable(epoch: number, seen: number): StreamEvent[] {
    this.#forgetBelow(seen);
    this.#end("unreachable", epoch);
    return this.flow(epoch);
  }

  /**
   * A whole sync has ended that began when `seen` was known: frames up to there that fit nowhere never will. They were of a
   * membership that began and ended unseen, or they come again by another sync.
   */
  explained(seen: number): void {
    const some = [...this.pending.keys()].some((seq) => seq <= seen);
    // Unless the refusal was a mistake. Asking once more tells.
    if (this.standing === "unreachable" && some) this.standing = "open";
    else if (this.standing !== "open") this.#forgetBelow(seen);
  }

  /** Gives up what lies between `head` and `base`. */
  rebase(base: number, epoch: number): StreamEvent[] {
    this.open(base, epoch);
    return this.flow(epoch);
  }

  /** The stream is known to reach that far. */
  hint(lastSeq: number): void {
    this.knownLast = Math.max(this.knownLast, lastSeq);
  }

  /** Whether a membership of this user begins with it. */
  #begins(event: StreamEvent): boolean {
    const { data } = event;
    if (event.type === "participant.joined") return data.user_id === this.#me;
    if (event.type !== "conversation.created") return false;
    return (
      data.owner_id === this.#me || (Array.isArray(data.participant_ids) && data.participant_ids.includes(this.#me))
    );
  }

  #ends(event: StreamEvent): boolean {
    return event.type === "participant.left" && event.data.user_id === this.#me;
  }

  /** A membership ends at `head`; if the next one's beginning waits already, it opens. */
  #end(standing: Standing, epoch: number): void {
    this.standing = standing;
    this.epoch = epoch;
    const beginnings = [...this.pending.values()].filter((event) => event.seq > this.head && this.#begins(event));
    if (beginnings.length > 0) this.open(Math.min(...beginnings.map((event) => event.seq)) - 1, epoch);
    else this.pending.clear();
  }

  #hold(event: StreamEvent): void {
    this.pending.set(event.seq, event);
    // What is nearest to the gap is shown first; the rest is fetched again.
    if (this.pending.size > this.#pendingMax) this.pending.delete(Math.max(...this.pending.keys()));
  }

  #forgetBelow(seq: number): void {
    for (const held of [...this.pending.keys()]) if (held <= seq) this.pending.delete(held);
  }
}
