/** Finds out that the other end is gone, and does not take a device that slept for one that lost its connection. */

import type { Cancel, Clock, Visibility } from "../types";

/** While somebody looks, a silence of this length is asked about… */
export const QUIET_VISIBLE_MS = 5_000;
/** …and the answer is waited for so long: a half-open connection is found within 10 s. */
export const PATIENCE_MS = 4_000;
/** A timer that is so much too late tells of sleep, or of a browser that holds back the timers of hidden pages. */
const DRIFT_MS = 3_000;

export interface HeartbeatEvents {
  ping(): void;
  /** Asked, and no answer. */
  dead(): void;
}

/**
 * A page cannot see the server's protocol pings, so it asks by itself: an application `ping` after a silence. A hidden page
 * asks once per heartbeat interval.
 */
export class Heartbeat {
  readonly #clock: Clock;
  readonly #visibility: Visibility;
  readonly #events: HeartbeatEvents;
  #intervalMs = 45_000;
  #heardAt = 0;
  #askedAt: number | undefined;
  /** The answer to a ping was late together with our own timer: it was asked once more. */
  #excused = false;
  #running = false;
  #cancel: Cancel = () => undefined;
  #unsubscribe: Cancel = () => undefined;

  constructor(clock: Clock, visibility: Visibility, events: HeartbeatEvents) {
    this.#clock = clock;
    this.#visibility = visibility;
    this.#events = events;
  }

  /** There is a new socket, which has just said something. */
  start(intervalMs: number): void {
    this.stop();
    this.#running = true;
    this.#intervalMs = intervalMs;
    this.heard();
    this.#unsubscribe = this.#visibility.subscribe(() => {
      if (this.#visibility.visible()) this.probe();
    });
    this.#arm();
  }

  stop(): void {
    this.#running = false;
    this.#askedAt = undefined;
    this.#cancel();
    this.#unsubscribe();
  }

  /** Something arrived. */
  heard(): void {
    this.#heardAt = this.#clock.now();
    this.#askedAt = undefined;
    this.#excused = false;
  }

  /** Asks at once, whatever was heard before. An answer that is waited for already stays due when it was. */
  probe(): void {
    if (!this.#running || this.#askedAt !== undefined) return;
    this.#ask();
    this.#arm();
  }

  /** Does what is due; for whoever has better timers than a hidden page. */
  check(): void {
    const lateMs = this.#clock.now() - this.#due();
    if (this.#running && lateMs >= 0) this.#tick(lateMs);
  }

  #ask(): void {
    this.#askedAt = this.#clock.now();
    this.#events.ping();
  }

  #due(): number {
    if (this.#askedAt !== undefined) return this.#askedAt + PATIENCE_MS;
    return this.#heardAt + (this.#visibility.visible() ? QUIET_VISIBLE_MS : this.#intervalMs);
  }

  #arm(): void {
    this.#cancel();
    const wait = Math.max(0, this.#due() - this.#clock.now());
    const expected = this.#clock.wall() + wait;
    this.#cancel = this.#clock.after(wait, () => this.#tick(this.#clock.wall() - expected));
  }

  #tick(lateMs: number): void {
    const asked = this.#askedAt !== undefined;
    if (lateMs > DRIFT_MS && !this.#excused) {
      // The answer may lie in the socket, unread: a healthy one is not killed for our own sleep. Once is enough, though.
      this.#excused = asked;
      this.#ask();
    } else if (this.#clock.now() >= this.#due()) {
      if (asked) {
        this.#events.dead();
        return;
      }
      this.#ask();
    }
    this.#arm();
  }
}
