/** What tabs that share a socket say to one another, and how the tab that leads puts their wishes together. */

import type { AskOptions, Cancel, Clock, ConnectionState, ServerFrame, Visibility } from "./types";

type Data = Readonly<Record<string, unknown>>;

export interface Ask {
  readonly action: string;
  readonly data: Data;
  readonly options: AskOptions;
}

export interface Answer {
  readonly data?: Data;
  readonly error?: { readonly code: string; readonly message: string; readonly retryAfterMs: number };
}

/** Never a token: each tab has its own from where all have theirs. */
export type TabMessage =
  /** A tab is new: how do things stand? */
  | { readonly kind: "hello" }
  | { readonly kind: "bye"; readonly from: string }
  | { readonly kind: "connect" }
  | { readonly kind: "state"; readonly leader: string; readonly state: ConnectionState }
  | { readonly kind: "frame"; readonly frame: ServerFrame }
  | { readonly kind: "send"; readonly action: string; readonly data: Data }
  | { readonly kind: "ask"; readonly from: string; readonly id: number; readonly ask: Ask }
  | ({ readonly kind: "answer"; readonly to: string; readonly id: number } & Answer)
  /** How a tab is; also asks the one that leads to look whether the socket still lives. */
  | { readonly kind: "tab"; readonly from: string; readonly visible: boolean; readonly active: boolean };

/** The outcome of a request as something that can be posted. */
export async function answerOf(asked: Promise<Data>): Promise<Answer> {
  try {
    return { data: await asked };
  } catch (error) {
    const { code, message, retryAfterMs } = error as { code?: unknown; message?: unknown; retryAfterMs?: unknown };
    return {
      error: {
        code: typeof code === "string" ? code : "internal",
        message: String(message),
        retryAfterMs: typeof retryAfterMs === "number" ? retryAfterMs : 0,
      },
    };
  }
}

/** A visible tab speaks up more often than that; one that does not is gone. */
const SEEN_MS = 15_000;

/** Whether somebody can see any of the tabs. */
export class SharedVisibility implements Visibility {
  readonly #own: Visibility;
  readonly #clock: Clock;
  readonly #seen = new Map<string, number>();
  readonly #listeners = new Set<() => void>();

  constructor(own: Visibility, clock: Clock) {
    this.#own = own;
    this.#clock = clock;
  }

  visible(): boolean {
    const since = this.#clock.now() - SEEN_MS;
    return this.#own.visible() || [...this.#seen.values()].some((at) => at >= since);
  }

  /** What another tab says of itself. */
  tell(tab: string, visible: boolean): void {
    const before = this.visible();
    if (visible) this.#seen.set(tab, this.#clock.now());
    else this.#seen.delete(tab);
    if (this.visible() !== before) for (const listener of [...this.#listeners]) listener();
  }

  subscribe(listener: () => void): Cancel {
    this.#listeners.add(listener);
    const cancel = this.#own.subscribe(listener);
    return () => {
      this.#listeners.delete(listener);
      cancel();
    };
  }
}

/** What each tab wants of the one socket. */
export class Wishes {
  readonly #active = new Map<string, boolean>();
  readonly #followed = new Map<string, readonly string[]>();

  /** Whether somebody sits before any of the tabs. */
  active(tab: string, active: boolean): boolean {
    this.#active.set(tab, active);
    return [...this.#active.values()].includes(true);
  }

  /** The users whom the tabs follow together, those of the tab that asks first. */
  follow(tab: string, data: Data, limit = 200): Data {
    const ids = Array.isArray(data.user_ids) ? data.user_ids.filter((id) => typeof id === "string") : [];
    this.#followed.set(tab, ids);
    const all = new Set([...ids, ...[...this.#followed.values()].flat()]);
    return { user_ids: [...all].slice(0, limit) };
  }

  /** A tab is closed; whether somebody sits before the others. */
  gone(tab: string): boolean {
    this.#active.delete(tab);
    this.#followed.delete(tab);
    return this.#active.size === 0 || [...this.#active.values()].includes(true);
  }
}
