/** One connection for each page that is shown, however many of its components ask for it; none for any other page. */

import type { Log } from "./log";
import type { Cancel, Clock, Connection, ConnectionType, Environment } from "./websocket/types";

export interface Wanted {
  /** The page's route: pages share nothing, so that an error of one never touches another. */
  readonly page: string;
  readonly connectionType: ConnectionType;
  /** Whoever signs in next gets a connection of their own. */
  readonly userId: string | undefined;
  /** Connect as soon as the first component asks. */
  readonly autoConnect: boolean;
  /** Instead of the browser's, for a page that looks for mistakes. */
  readonly environment?: Environment;
}

export interface Held {
  readonly connection: Connection;
  /** To be called once, when the component is gone. */
  readonly release: Cancel;
}

interface Entry {
  readonly connection: Connection;
  readonly unsubscribe: Cancel;
  users: number;
  cancelEnd: Cancel;
}

const NEVER: Cancel = () => undefined;

export class PageConnections {
  readonly #make: (wanted: Wanted) => Connection;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #entries = new Map<string, Entry>();

  /** `make` makes a connection that does not connect yet. */
  constructor(make: (wanted: Wanted) => Connection, clock: Clock, log: Log) {
    this.#make = make;
    this.#clock = clock;
    this.#log = log;
  }

  /** How many there are. */
  get size(): number {
    return this.#entries.size;
  }

  /** The page's connection, made if it is the first to ask. Ends when the last of them has released it. */
  hold(wanted: Wanted): Held {
    const key = JSON.stringify([wanted.page, wanted.connectionType, wanted.userId]);
    const entry = this.#entries.get(key) ?? this.#begin(key, wanted);
    entry.users += 1;
    entry.cancelEnd();
    entry.cancelEnd = NEVER;
    let released = false;
    const release = () => {
      if (released) return;
      released = true;
      entry.users -= 1;
      if (entry.users > 0) return;
      // Not at once: React's StrictMode takes each component away and brings it back, and that is no reason to hang up.
      entry.cancelEnd = this.#clock.after(0, () => this.#end(key, entry));
    };
    return { connection: entry.connection, release };
  }

  #begin(key: string, wanted: Wanted): Entry {
    const connection = this.#make(wanted);
    const { page, connectionType } = wanted;
    let logged: string | undefined;
    const unsubscribe = connection.subscribe(({ status, attempt, failure, welcome }) => {
      const fields = { page, type: connectionType, status, attempt, why: failure?.code, edge: welcome?.edgeId };
      if (JSON.stringify(fields) === logged) return;
      logged = JSON.stringify(fields);
      this.#log("connection", fields);
    });
    const entry: Entry = { connection, unsubscribe, users: 0, cancelEnd: NEVER };
    this.#entries.set(key, entry);
    if (wanted.autoConnect) connection.connect();
    return entry;
  }

  #end(key: string, entry: Entry): void {
    this.#entries.delete(key);
    entry.connection.disconnect();
    entry.unsubscribe();
    entry.connection.dispose();
  }
}
