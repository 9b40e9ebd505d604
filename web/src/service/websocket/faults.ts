/** A world with a cable that can be pulled: for /test-websocket and for tests, around the browser's own. */

import type { Cancel, Environment, Network, Socket, SocketEvents, Transport } from "./types";

/** As a browser says it when a socket breaks. */
const BROKEN = 1006;

interface Wire {
  readonly socket: Socket;
  readonly events: SocketEvents;
}

/** An `Environment` whose sockets drop, fall silent, or cannot be opened, when it is told so. */
export class FaultyWorld implements Environment {
  readonly transport: Transport;
  readonly clock: Environment["clock"];
  readonly network: Network;
  readonly visibility: Environment["visibility"];
  readonly #world: Environment;
  readonly #wires = new Set<Wire>();
  readonly #listeners = new Set<() => void>();
  #online = true;
  #silent = false;

  constructor(world: Environment) {
    this.#world = world;
    this.clock = world.clock;
    this.visibility = world.visibility;
    this.transport = { open: (url, protocols, events) => this.#open(url, protocols, events) };
    this.network = {
      online: () => this.#online && world.network.online(),
      subscribe: (listener) => this.#subscribe(listener),
    };
  }

  get online(): boolean {
    return this.#online;
  }

  get silent(): boolean {
    return this.#silent;
  }

  /** Every socket breaks, as by a proxy that restarts. */
  drop(): void {
    for (const wire of [...this.#wires]) this.#cut(wire);
  }

  /** Offline: every socket breaks, and none can be opened. */
  setOnline(online: boolean): void {
    if (online === this.#online) return;
    this.#online = online;
    if (!online) this.drop();
    for (const listener of [...this.#listeners]) listener();
  }

  /** Silent: sockets stay open and nothing passes, which is what a cable that was pulled far away looks like. */
  setSilent(silent: boolean): void {
    this.#silent = silent;
  }

  #open(url: string, protocols: readonly string[], events: SocketEvents): Socket {
    if (!this.#online) {
      this.clock.after(0, () => events.onClose(BROKEN, "offline"));
      return { send: () => undefined, close: () => undefined };
    }
    const socket = this.#world.transport.open(url, protocols, {
      onOpen: () => events.onOpen(),
      onText: (text) => {
        if (!this.#silent) events.onText(text);
      },
      onClose: (code, reason) => {
        if (this.#wires.delete(wire)) events.onClose(code, reason);
      },
    });
    const wire: Wire = { socket, events };
    this.#wires.add(wire);
    return {
      send: (text) => {
        if (!this.#silent) socket.send(text);
      },
      close: (code, reason) => socket.close(code, reason),
    };
  }

  #cut(wire: Wire): void {
    this.#wires.delete(wire);
    wire.socket.close();
    wire.events.onClose(BROKEN, "dropped");
  }

  #subscribe(listener: () => void): Cancel {
    const cancel = this.#world.network.subscribe(listener);
    this.#listeners.add(listener);
    return () => {
      cancel();
      this.#listeners.delete(listener);
    };
  }
}
