/** When to come back after a connection ended, and when not. Pure but for the lots it draws. */

import type { ConnectionSettings, Failure } from "../types";

/** Close codes of docs/errors.md that a client acts on by name. */
export const CLOSE = {
  normal: 1000,
  broken: 1006,
  badFrame: 4400,
  unauthenticated: 4401,
  forbidden: 4403,
  replaced: 4409,
  frameTooBig: 4413,
  tooMany: 4429,
} as const;

const FINAL: ReadonlyMap<number, string> = new Map([
  [CLOSE.badFrame, "bad_frame"],
  [CLOSE.forbidden, "forbidden"],
  [CLOSE.replaced, "replaced"],
  [CLOSE.frameTooBig, "frame_too_big"],
]);

/** A connection that lasted so long ends the series of attempts. */
export const STABLE_AFTER_MS = 10_000;
const SLOW_RETRY_MS = 60_000;
const SLOW_JITTER = 0.2;
/** Nobody waits before a hidden page: it comes back later, so that the pages that are looked at come first. */
const HIDDEN_FACTOR = 4;

/** How a socket, or the attempt to have one, ended. */
export interface Ended {
  readonly code: number;
  readonly reason: string;
  /** From `connected` to the end; missing if it never came so far. */
  readonly lastedMs?: number;
  /** How long from now the server's `reconnect` said to wait. */
  readonly toldMs?: number;
}

export type Comeback =
  | { readonly kind: "pause"; readonly waitMs: number; readonly freshToken: boolean; readonly exhausted: boolean }
  | { readonly kind: "give_up"; readonly failure: Failure };

/** Full jitter, so that many clients that lost the same server do not come back together; it never ends by itself. */
export class Backoff {
  /** Attempts in a row that led to no stable connection. */
  attempts = 0;
  readonly #settings: ConnectionSettings;
  readonly #random: () => number;

  constructor(settings: ConnectionSettings, random: () => number) {
    this.#settings = settings;
    this.#random = random;
  }

  /** What to do now. `idle`: nobody looks at the page, or the browser has no network. */
  after(ended: Ended, idle: boolean): Comeback {
    const final = FINAL.get(ended.code);
    if (final !== undefined) return { kind: "give_up", failure: failureOf(ended, final) };
    if (ended.lastedMs !== undefined && ended.lastedMs >= STABLE_AFTER_MS) this.attempts = 0;
    if (ended.toldMs !== undefined) {
      // The server has spread its clients over time already.
      this.attempts = 0;
      return { kind: "pause", waitMs: Math.max(0, ended.toldMs), freshToken: false, exhausted: false };
    }
    this.attempts += 1;
    const freshToken = ended.code === CLOSE.unauthenticated;
    const atLeast = ended.code === CLOSE.tooMany ? this.#settings.reconnectInterval : 0;
    if (this.attempts > this.#settings.maxReconnectAttempts) {
      const waitMs = SLOW_RETRY_MS * (1 + SLOW_JITTER * (2 * this.#random() - 1));
      return { kind: "pause", waitMs, freshToken, exhausted: true };
    }
    return { kind: "pause", waitMs: atLeast + this.#wait(idle), freshToken, exhausted: false };
  }

  #wait(idle: boolean): number {
    const { reconnectInterval, maxReconnectDelay } = this.#settings;
    const ceiling = exponential(this.attempts, reconnectInterval, maxReconnectDelay);
    if (!idle) return this.#random() * ceiling;
    return ceiling + this.#random() * ceiling * (HIDDEN_FACTOR - 1);
  }
}

/** `base` doubled with each attempt after the first, at most `cap`. */
export function exponential(attempt: number, base: number, cap: number): number {
  return Math.min(cap, base * 2 ** Math.min(attempt - 1, 60));
}

/** What to show of an end. */
export function failureOf(
  ended: Ended,
  code = ended.code === CLOSE.unauthenticated ? "unauthenticated" : "closed",
): Failure {
  const reason = ended.reason === "" ? "" : `: ${ended.reason}`;
  return { code, message: `closed with ${ended.code}${reason}`, closeCode: ended.code };
}
