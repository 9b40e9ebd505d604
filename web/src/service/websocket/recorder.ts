/** Writes down what a connection does, for whoever looks for a mistake: its sockets, frames, states and round trips. */

import { parseFrame } from "./core/serializer";
import { RoundTrips, type Sample } from "./roundTrips";
import type {
  Cancel,
  Connection,
  ConnectionState,
  ConnectionStatus,
  Environment,
  RawFrame,
  Socket,
  Transport,
} from "./types";

/** More of each is not kept: the oldest goes. */
export const FRAMES_MAX = 500;
export const STATES_MAX = 50;
/** Listeners are told that often at most: a flood of frames is no flood of renders. */
const QUIET_MS = 100;

export interface RecordedFrame extends RawFrame {
  /** Counts all frames, also those that are no longer kept. */
  readonly id: number;
  /** `?` for what is no frame. */
  readonly action: string;
}

export interface RecordedState {
  readonly id: number;
  readonly at: number;
  readonly status: ConnectionStatus;
  /** Why, if something went wrong. */
  readonly why?: string;
}

/** The newest socket: whether it opened, and how it ended. Times are of `Clock.wall`. */
export interface RecordedSocket {
  readonly url: string;
  /** What was offered, without the token. */
  readonly protocols: readonly string[];
  readonly askedAt: number;
  readonly openedAt?: number;
  readonly closed?: { readonly at: number; readonly code: number; readonly reason: string };
}

export interface Recording {
  readonly frames: readonly RecordedFrame[];
  /** Of all frames, how many. */
  readonly frameCount: number;
  readonly states: readonly RecordedState[];
  readonly samples: readonly Sample[];
  readonly socket?: RecordedSocket;
  /** The last end of any socket: it stays in sight when the next one is open. */
  readonly lastClosed?: RecordedSocket["closed"];
}

const NOTHING: Recording = { frames: [], frameCount: 0, states: [], samples: [] };

/** An `Environment` that looks on while another one does the work. */
export class SocketRecorder implements Environment {
  readonly transport: Transport;
  readonly clock: Environment["clock"];
  readonly network: Environment["network"];
  readonly visibility: Environment["visibility"];
  readonly #listeners = new Set<() => void>();
  readonly #trips = new RoundTrips();
  #recording = NOTHING;
  #frames: RecordedFrame[] = [];
  #states: RecordedState[] = [];
  #frameCount = 0;
  #stateCount = 0;
  #socket: RecordedSocket | undefined;
  #lastClosed: RecordedSocket["closed"];
  #telling: Cancel | undefined;

  constructor(world: Environment) {
    this.clock = world.clock;
    this.network = world.network;
    this.visibility = world.visibility;
    this.transport = { open: (url, protocols, events) => this.#open(world.transport, url, protocols, events) };
  }

  /** The same object until there is something new. */
  get recording(): Recording {
    return this.#recording;
  }

  subscribe(listener: () => void): Cancel {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      this.#telling?.();
      this.#telling = undefined;
    };
  }

  /** Writes down the connection's frames and states from now on. */
  watch(connection: Connection): Cancel {
    this.#stated(connection.state);
    const cancels = [
      connection.onRaw((frame) => this.#framed(frame)),
      connection.subscribe((state) => this.#stated(state)),
    ];
    return () => {
      for (const cancel of cancels) cancel();
    };
  }

  /** Forgets frames. */
  clearFrames(): void {
    this.#frames = [];
    this.#tellNow();
  }

  /** Forgets round trips. */
  clearSamples(): void {
    this.#trips.clear();
    this.#tellNow();
  }

  #open(transport: Transport, ...[url, protocols, events]: Parameters<Transport["open"]>): Socket {
    const { clock } = this;
    // Only what is no secret is kept: the token stands among the protocols.
    const offered = protocols.filter((name) => !name.startsWith("bearer."));
    const began: RecordedSocket = { url, protocols: offered, askedAt: clock.wall() };
    let socket = began;
    const become = (next: RecordedSocket) => {
      // A connection that moves has two sockets for a moment; the older one's end is not the newer one's.
      if (this.#socket === socket) this.#socket = next;
      socket = next;
      this.#tell();
    };
    this.#socket = began;
    this.#tell();
    return transport.open(url, protocols, {
      onOpen: () => {
        become({ ...socket, openedAt: clock.wall() });
        events.onOpen();
      },
      onText: (text) => events.onText(text),
      onClose: (code, reason) => {
        this.#lastClosed = { at: clock.wall(), code, reason };
        this.#trips.lost();
        become({ ...socket, closed: this.#lastClosed });
        events.onClose(code, reason);
      },
    });
  }

  #framed(raw: RawFrame): void {
    const frame = parseFrame(raw.text);
    this.#frameCount += 1;
    this.#frames.push({ ...raw, id: this.#frameCount, action: frame?.action ?? "?" });
    if (this.#frames.length > FRAMES_MAX) this.#frames.shift();
    if (frame !== undefined) this.#trips.saw(raw.direction, frame, raw.at, this.clock.now());
    this.#tell();
  }

  #stated({ status, failure }: ConnectionState): void {
    const last = this.#states.at(-1);
    if (last?.status === status && last.why === failure?.message) return;
    this.#stateCount += 1;
    const why = failure === undefined ? {} : { why: failure.message };
    this.#states.push({ id: this.#stateCount, at: this.clock.wall(), status, ...why });
    if (this.#states.length > STATES_MAX) this.#states.shift();
    this.#tell();
  }

  /** Soon, together with whatever else happens until then. */
  #tell(): void {
    if (this.#listeners.size === 0) this.#refresh();
    else this.#telling ??= this.clock.after(QUIET_MS, () => this.#tellNow());
  }

  #tellNow(): void {
    this.#telling?.();
    this.#telling = undefined;
    this.#refresh();
    for (const listener of [...this.#listeners]) listener();
  }

  #refresh(): void {
    this.#recording = {
      frames: [...this.#frames],
      frameCount: this.#frameCount,
      states: [...this.#states],
      samples: this.#trips.samples,
      ...(this.#socket !== undefined && { socket: this.#socket }),
      ...(this.#lastClosed !== undefined && { lastClosed: this.#lastClosed }),
    };
  }
}
