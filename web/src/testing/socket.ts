/** A clock, sockets, a network and eyes that a test owns; for tests alone. */

import type {
  Cancel,
  Clock,
  Environment,
  Network,
  Socket,
  SocketEvents,
  TokenSource,
  Transport,
  Visibility,
} from "../service/websocket/types";

/** Lets every promise that can go on do so. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}

interface Timer {
  at: number;
  readonly what: () => void;
}

/** Time goes by only when a test says so. */
export class ManualClock implements Clock {
  #now = 0;
  #slept = 0;
  readonly #timers = new Set<Timer>();
  /** What `random` gives next; 1 minus a little if it is empty, so that waits are as long as they can be. */
  lots: number[] = [];

  now(): number {
    return this.#now;
  }

  wall(): number {
    return 1_800_000_000_000 + this.#now + this.#slept;
  }

  random(): number {
    return this.lots.shift() ?? 0.999_999;
  }

  after(ms: number, what: () => void): Cancel {
    const timer = { at: this.#now + ms, what };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  get timers(): number {
    return this.#timers.size;
  }

  /** So much time goes by, and what is due is done. */
  async pass(ms: number): Promise<void> {
    const until = this.#now + ms;
    await settle();
    for (;;) {
      const next = [...this.#timers].filter((timer) => timer.at <= until).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.what();
      await settle();
    }
    this.#now = until;
    await settle();
  }

  /** The device sleeps: the time on the wall goes on, timers do not. */
  sleep(ms: number): void {
    this.#slept += ms;
  }
}

/** A socket whose other end is the test. */
export class ScriptedSocket implements Socket {
  readonly url: string;
  readonly protocols: readonly string[];
  readonly sent: string[] = [];
  closed: number | undefined;
  readonly #events: SocketEvents;

  constructor(url: string, protocols: readonly string[], events: SocketEvents) {
    this.url = url;
    this.protocols = protocols;
    this.#events = events;
  }

  /** The frames that the client sent, pings left out. */
  get frames(): { action: string; ref?: number; data: Record<string, unknown> }[] {
    return this.sent.map((text) => JSON.parse(text)).filter((frame) => frame.action !== "ping");
  }

  get pings(): number {
    return this.sent.filter((text) => text.includes('"ping"')).length;
  }

  send(text: string): void {
    this.sent.push(text);
  }

  close(code = 1005): void {
    this.closed ??= code;
  }

  open(): void {
    this.#events.onOpen();
  }

  say(action: string, data: Record<string, unknown> = {}, rest: Record<string, unknown> = {}): void {
    this.#events.onText(JSON.stringify({ action, data, ...rest }));
  }

  text(text: string): void {
    this.#events.onText(text);
  }

  welcome(data: Record<string, unknown> = {}): void {
    this.open();
    this.say("connected", {
      connection_id: "c1",
      user_id: "anna",
      edge_id: "edge-1",
      heartbeat_interval_ms: 45_000,
      connection_timeout_ms: 20_000,
      max_reconnect_attempts: 15,
      sync_interval_ms: 25_000,
      features: ["token_refresh"],
      ...data,
    });
  }

  /** The server ends it. */
  end(code = 1006, reason = ""): void {
    this.closed ??= code;
    this.#events.onClose(code, reason);
  }
}

export class ScriptedTransport implements Transport {
  readonly sockets: ScriptedSocket[] = [];

  open(url: string, protocols: readonly string[], events: SocketEvents): Socket {
    const socket = new ScriptedSocket(url, protocols, events);
    this.sockets.push(socket);
    return socket;
  }

  /** The newest; there must be one. */
  get last(): ScriptedSocket {
    const socket = this.sockets.at(-1);
    if (socket === undefined) throw new Error("no socket was opened");
    return socket;
  }

  /** Sockets that neither side has closed. */
  get alive(): number {
    return this.sockets.filter((socket) => socket.closed === undefined).length;
  }
}

class Switch {
  protected value = true;
  readonly #listeners = new Set<() => void>();

  get listeners(): number {
    return this.#listeners.size;
  }

  set(value: boolean): void {
    this.value = value;
    for (const listener of [...this.#listeners]) listener();
  }

  subscribe(listener: () => void): Cancel {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}

export class FakeNetwork extends Switch implements Network {
  online(): boolean {
    return this.value;
  }
}

export class FakeVisibility extends Switch implements Visibility {
  visible(): boolean {
    return this.value;
  }
}

export interface FakeWorld extends Environment {
  readonly transport: ScriptedTransport;
  readonly clock: ManualClock;
  readonly network: FakeNetwork;
  readonly visibility: FakeVisibility;
}

export function fakeWorld(): FakeWorld {
  return {
    transport: new ScriptedTransport(),
    clock: new ManualClock(),
    network: new FakeNetwork(),
    visibility: new FakeVisibility(),
  };
}

/** Tokens `token-1`, `token-2`, …: the next one after each that was refused. */
export class FakeTokens implements TokenSource {
  number = 1;
  /** What `current` fails with, if it does. */
  error: Error | undefined;
  asked = 0;

  async current(): Promise<string> {
    this.asked += 1;
    if (this.error !== undefined) throw this.error;
    return `token-${this.number}`;
  }

  refused(token: string): void {
    if (token === `token-${this.number}`) this.number += 1;
  }
}
