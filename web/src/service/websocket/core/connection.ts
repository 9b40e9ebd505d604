/** One connection: at most one socket, which is kept, lost, and come back with, until nobody wants it any more. */

import {
  type AskOptions,
  type Cancel,
  type Connection,
  type ConnectionOptions,
  type ConnectionSettings,
  type ConnectionState,
  DEFAULT_SETTINGS,
  type Environment,
  type Failure,
  type RawFrame,
  type ServerFrame,
  type TokenSource,
} from "../types";
import { Emitter } from "./emitter";
import { SignedOut } from "./errors";
import { Heartbeat } from "./heartbeat";
import { Link, type LinkEvents } from "./link";
import { MessageQueue } from "./messageQueue";
import { Backoff, CLOSE, type Ended, failureOf, STABLE_AFTER_MS } from "./reconnect";
import { encodeFrame, redact } from "./serializer";
import { type ConnectionEvent, IDLE, reduce } from "./state";
import { TokenRefresh } from "./tokenRefresh";

type Data = Readonly<Record<string, unknown>>;
const NEVER: Cancel = () => undefined;

/** A `Connection` with a socket of its own. */
export class SocketConnection implements Connection {
  readonly #environment: Environment;
  readonly #options: ConnectionOptions;
  readonly #settings: ConnectionSettings;
  readonly #tokens: TokenSource;
  readonly #queue: MessageQueue;
  readonly #backoff: Backoff;
  readonly #heartbeat: Heartbeat;
  readonly #refresh: TokenRefresh;
  readonly #states = new Emitter<ConnectionState>();
  readonly #frames = new Emitter<ServerFrame>();
  readonly #raw = new Emitter<RawFrame>();
  #state = IDLE;
  #wanted = false;
  #active = true;
  /** The socket after its `connected`. */
  #current: Link | undefined;
  /** The one that is being opened. */
  #pending: Link | undefined;
  /** Changes whenever what is under way no longer counts: whoever comes back from waiting for a token compares it. */
  #turn = 0;
  #starting = false;
  #opened = 0;
  #attemptedAt = Number.NEGATIVE_INFINITY;
  #cancelRetry = NEVER;
  #cancelStable = NEVER;
  #cancelLeave = NEVER;
  #unwatch: readonly Cancel[] = [];

  constructor(environment: Environment, tokens: TokenSource, options: ConnectionOptions) {
    if (options.urls.length === 0) throw new Error("urls must name at least one edge");
    this.#environment = environment;
    this.#tokens = tokens;
    this.#options = options;
    this.#settings = { ...DEFAULT_SETTINGS, ...options.settings };
    const { clock, visibility } = environment;
    this.#queue = new MessageQueue(clock);
    this.#backoff = new Backoff(this.#settings, () => clock.random());
    this.#heartbeat = new Heartbeat(clock, visibility, {
      ping: () => this.#current?.write(encodeFrame("ping", {})),
      dead: () => this.#current?.abort("no answer to a ping"),
    });
    this.#refresh = new TokenRefresh(clock, tokens, (action, data) => this.#queue.ask(action, data));
  }

  get state(): ConnectionState {
    return this.#state;
  }

  connect(): void {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#backoff.attempts = 0;
    const { network, visibility } = this.#environment;
    this.#unwatch = [
      network.subscribe(() => this.#networkChanged()),
      visibility.subscribe(() => visibility.visible() && this.#hurry()),
    ];
    this.#attempt();
  }

  disconnect(): void {
    this.#end();
    this.#become({ type: "disconnect" });
  }

  subscribe(listener: (state: ConnectionState) => void): Cancel {
    return this.#states.on(listener);
  }

  onFrame(listener: (frame: ServerFrame) => void): Cancel {
    return this.#frames.on(listener);
  }

  onRaw(listener: (frame: RawFrame) => void): Cancel {
    return this.#raw.on(listener);
  }

  ask(action: string, data: Data, options?: AskOptions): Promise<Data> {
    return this.#queue.ask(action, data, this.#wanted ? options : { ...options, queue: false });
  }

  send(action: string, data: Data): boolean {
    return this.#queue.send(action, data);
  }

  setActive(active: boolean): void {
    if (active === this.#active) return;
    this.#active = active;
    this.#tellActivity();
  }

  check(): void {
    this.#heartbeat.check();
  }

  dispose(): void {
    this.disconnect();
    this.#states.clear();
    this.#frames.clear();
    this.#raw.clear();
  }

  /** Gets a token and opens a socket; if another one works, it stays until the new one does. */
  #attempt(): void {
    this.#cancelRetry();
    if (!this.#wanted || this.#starting || this.#pending !== undefined) return;
    this.#starting = true;
    this.#attemptedAt = this.#environment.clock.now();
    this.#become({ type: "attempt" });
    const turn = this.#turn;
    this.#tokens.current().then(
      (token) => turn === this.#turn && this.#open(token),
      (error: unknown) => turn === this.#turn && this.#noToken(error),
    );
  }

  #open(token: string): void {
    this.#starting = false;
    const { connectionTimeout, heartbeatInterval } = this.#settings;
    const options = { url: this.#address(), token, timeoutMs: connectionTimeout, heartbeatMs: heartbeatInterval };
    try {
      this.#pending = new Link(this.#environment, options, this.#linkEvents);
    } catch (error) {
      this.#ended({ code: CLOSE.broken, reason: String(error) });
    }
  }

  #noToken(error: unknown): void {
    this.#starting = false;
    if (error instanceof SignedOut) this.#giveUp({ code: "signed_out", message: error.message });
    else this.#ended({ code: CLOSE.broken, reason: "no token to be had" });
  }

  #address(): string {
    const { urls, deviceType, deviceId, connectionType } = this.#options;
    const url = urls[this.#opened++ % urls.length] as string;
    const query = new URLSearchParams({ device_type: deviceType, connection_type: connectionType });
    if (deviceId !== undefined) query.set("device_id", deviceId);
    return `${url}?${query}`;
  }

  readonly #linkEvents: LinkEvents = {
    onWelcome: (link) => this.#welcomed(link),
    onHeard: (link) => {
      if (link !== this.#current) return;
      this.#heartbeat.heard();
      this.#become({ type: "heard" });
    },
    onFrame: (link, frame) => this.#framed(link, frame),
    onEnd: (link, ended) => this.#linkEnded(link, ended),
    onRaw: (direction, text) => {
      if (this.#raw.size > 0) this.#raw.emit({ direction, text: redact(text), at: this.#environment.clock.wall() });
    },
  };

  #welcomed(link: Link): void {
    const { welcome } = link;
    if (welcome === undefined) return;
    const old = this.#current;
    this.#pending = undefined;
    this.#current = link;
    // The new one first, so that nothing falls between: what both of them bring is told apart by stream and seq.
    this.#queue.detach();
    old?.drop("moved");
    this.#cancelLeave();
    this.#heartbeat.start(welcome.heartbeatIntervalMs);
    this.#refresh.start(link.token);
    this.#cancelStable();
    this.#cancelStable = this.#environment.clock.after(STABLE_AFTER_MS, () => {
      this.#backoff.attempts = 0;
      this.#become({ type: "stable" });
    });
    this.#become({ type: "connected", welcome });
    if (this.#current !== link) return;
    this.#queue.attach({ frameBytesMax: welcome.frameBytesMax, write: (text) => link.write(text) });
    if (!this.#active) this.#tellActivity();
  }

  #framed(link: Link, frame: ServerFrame): void {
    if (frame.action === "reconnect") this.#leave(link, frame.data.after_ms);
    if (link === this.#current) this.#queue.answer(frame);
    this.#frames.emit(frame);
  }

  /** The server wants us elsewhere: not before the moment that it gave to us among many. */
  #leave(link: Link, afterMs: unknown): void {
    const { clock } = this.#environment;
    const wait = typeof afterMs === "number" && afterMs > 0 ? afterMs : 0;
    link.leaveAt = clock.now() + wait;
    this.#cancelLeave();
    this.#cancelLeave = clock.after(wait, () => this.#attempt());
  }

  #linkEnded(link: Link, ended: Ended): void {
    if (link === this.#pending) this.#pending = undefined;
    if (link === this.#current) this.#loseCurrent();
    const another = this.#pending !== undefined || this.#starting;
    if (this.#wanted && another) {
      // It went while its successor is on the way.
      const failure = failureOf(ended);
      this.#become({
        type: "lost",
        failure,
        attempt: this.#state.attempt,
        offline: !this.#environment.network.online(),
      });
    } else if (this.#wanted) {
      if (ended.code === CLOSE.unauthenticated) this.#tokens.refused(link.token);
      this.#ended(ended);
    }
  }

  #loseCurrent(): void {
    this.#current = undefined;
    this.#cancelStable();
    this.#cancelLeave();
    this.#heartbeat.stop();
    this.#refresh.stop();
    this.#queue.detach();
  }

  /** What comes after a socket, or an attempt. */
  #ended(ended: Ended): void {
    const { clock, network, visibility } = this.#environment;
    const online = network.online();
    const comeback = this.#backoff.after(ended, !online || !visibility.visible());
    if (comeback.kind === "give_up") {
      this.#giveUp(comeback.failure);
      return;
    }
    this.#cancelRetry();
    this.#cancelRetry = clock.after(comeback.waitMs, () => this.#attempt());
    // A socket that still works while its successor failed is no loss.
    if (this.#current !== undefined) return;
    const retryAt = clock.wall() + comeback.waitMs;
    const offline = comeback.exhausted || !online;
    this.#become({ type: "lost", failure: failureOf(ended), attempt: this.#backoff.attempts, offline, retryAt });
  }

  #giveUp(failure: Failure): void {
    this.#end();
    this.#become({ type: "refused", failure });
  }

  #end(): void {
    this.#wanted = false;
    this.#turn += 1;
    this.#starting = false;
    for (const cancel of this.#unwatch) cancel();
    this.#unwatch = [];
    this.#cancelRetry();
    const links = [this.#pending, this.#current];
    this.#pending = undefined;
    this.#loseCurrent();
    for (const link of links) link?.drop();
    this.#queue.clear();
  }

  #networkChanged(): void {
    const online = this.#environment.network.online();
    this.#become({ type: "network", online });
    if (online && this.#current !== undefined) this.#heartbeat.probe();
    else if (online) this.#hurry();
  }

  /** There is a reason to try sooner than planned, unless it was just tried or the server asked for patience. */
  #hurry(): void {
    if (this.#state.retryAt === undefined || this.#state.failure?.closeCode === CLOSE.tooMany) return;
    const wait = this.#attemptedAt + this.#settings.reconnectInterval - this.#environment.clock.now();
    this.#cancelRetry();
    if (wait <= 0) this.#attempt();
    else this.#cancelRetry = this.#environment.clock.after(wait, () => this.#attempt());
  }

  #tellActivity(): void {
    if (this.#current === undefined) return;
    // Best effort: a socket that is gone is told when there is another one.
    this.#queue.ask("activity", { active: this.#active }).catch(() => undefined);
  }

  #become(event: ConnectionEvent): void {
    const next = reduce(this.#state, event);
    if (next === this.#state) return;
    this.#state = next;
    this.#states.emit(next);
  }
}
