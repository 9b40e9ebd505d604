/** How long a `ping` takes to its `pong`, from nothing but the frames that go by. */

import type { ServerFrame } from "./types";

/** More is not kept: the oldest goes. */
export const SAMPLES_MAX = 240;

export interface Sample {
  /** When the pong came, by `Clock.wall`. */
  readonly at: number;
  readonly ms: number;
}

/** Pings that have no answer yet, and how long the others waited for theirs. */
export class RoundTrips {
  /** Never changed in place. */
  samples: readonly Sample[] = [];
  readonly #asked = new Map<string | number, number>();
  /** Pings without a `ref` are answered in the order in which they were sent. */
  #unnamed: number[] = [];

  saw(direction: "in" | "out", frame: ServerFrame, wall: number, now: number): void {
    if (direction === "out") {
      if (frame.action !== "ping") return;
      if (frame.ref === undefined) this.#unnamed.push(now);
      else this.#asked.set(frame.ref, now);
    } else if (frame.action === "pong") {
      const since = this.#take(frame.ref);
      if (since !== undefined) this.samples = [...this.samples, { at: wall, ms: now - since }].slice(-SAMPLES_MAX);
    } else if (frame.action === "error") {
      // A ping that was refused has no pong; which one, nobody knows without a `ref`.
      if (frame.ref === undefined) this.#unnamed = [];
      else this.#asked.delete(frame.ref);
    }
  }

  /** The socket is gone, and with it the answers. */
  lost(): void {
    this.#asked.clear();
    this.#unnamed = [];
  }

  clear(): void {
    this.samples = [];
  }

  #take(ref: string | number | undefined): number | undefined {
    if (ref === undefined) return this.#unnamed.shift();
    const since = this.#asked.get(ref);
    this.#asked.delete(ref);
    return since;
  }
}

/** The smallest of them that `part` of all do not exceed; undefined of none. */
export function percentile(values: readonly number[], part: number): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)];
}
