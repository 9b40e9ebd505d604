/** A `Connection` whose other end is a function; for tests alone. */

import { Emitter } from "../service/websocket/core/emitter";
import { RequestError } from "../service/websocket/core/errors";
import type { Cancel, Connection, ConnectionState, RawFrame, ServerFrame, Welcome } from "../service/websocket/types";

type Data = Readonly<Record<string, unknown>>;

const WELCOME: Welcome = {
  connectionId: "x",
  userId: "anna",
  edgeId: "edge-1",
  heartbeatIntervalMs: 45_000,
  connectionTimeoutMs: 20_000,
  syncIntervalMs: 25_000,
  frameBytesMax: 65_536,
  presenceUsersMax: 200,
  features: [],
};

export class ScriptedConnection implements Connection {
  state: ConnectionState = { status: "idle", attempt: 0 };
  /** Everything that was asked or sent. */
  readonly sent: { readonly action: string; readonly data: Data }[] = [];
  /** Answers are held back and never come: the socket dies under the request. */
  mute = false;
  readonly #answer: (action: string, data: Data) => Data;
  readonly #states = new Emitter<ConnectionState>();
  readonly #frames = new Emitter<ServerFrame>();
  #count = 0;

  constructor(answer: (action: string, data: Data) => Data = () => ({})) {
    this.#answer = answer;
  }

  connect(): void {
    this.#count += 1;
    this.#become({ status: "connected", attempt: 0, welcome: { ...WELCOME, connectionId: `x${this.#count}` } });
  }

  disconnect(): void {
    this.#become({ status: "reconnecting", attempt: 1 });
  }

  subscribe(listener: (state: ConnectionState) => void): Cancel {
    return this.#states.on(listener);
  }

  onFrame(listener: (frame: ServerFrame) => void): Cancel {
    return this.#frames.on(listener);
  }

  onRaw(_listener: (frame: RawFrame) => void): Cancel {
    return () => undefined;
  }

  async ask(action: string, data: Data): Promise<Data> {
    if (this.state.welcome === undefined) throw new RequestError("not_connected", "no connection");
    this.sent.push({ action, data });
    const answer = this.#answer(action, data);
    if (this.mute) throw new RequestError("closed", "gone");
    return answer;
  }

  send(action: string, data: Data): boolean {
    this.sent.push({ action, data });
    return this.state.welcome !== undefined;
  }

  setActive(): void {}

  check(): void {}

  dispose(): void {
    this.#frames.clear();
    this.#states.clear();
  }

  /** The server says something to this client, if it is connected. */
  say(frame: ServerFrame): void {
    if (this.state.welcome !== undefined) this.#frames.emit(frame);
  }

  #become(state: ConnectionState): void {
    this.state = state;
    this.#states.emit(state);
  }
}
