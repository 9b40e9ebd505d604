/** Listeners of one kind of event; what one of them throws hurts no other. */

import type { Cancel } from "../types";

export class Emitter<T> {
  readonly #listeners = new Set<(value: T) => void>();

  get size(): number {
    return this.#listeners.size;
  }

  on(listener: (value: T) => void): Cancel {
    // A function of its own, so that the same listener twice is two listeners.
    const own = (value: T) => listener(value);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  emit(value: T): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(value);
      } catch (error) {
        // It is the listener's mistake, and must be seen: not swallowed, not in the way.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  clear(): void {
    this.#listeners.clear();
  }
}
