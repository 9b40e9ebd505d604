/** Several tabs of one user share one socket: one tab leads and has it, the others hear and speak through it. */

import { Emitter } from "./core/emitter";
import { RequestError } from "./core/errors";
import { IDLE } from "./core/state";
import { type Ask, answerOf, SharedVisibility, type TabMessage, Wishes } from "./tabMessages";
import type {
  AskOptions,
  Cancel,
  Clock,
  Connection,
  ConnectionState,
  RawFrame,
  ServerFrame,
  Visibility,
} from "./types";

type Data = Readonly<Record<string, unknown>>;

/** What a browser has for several tabs. */
export interface Tabs {
  /** Runs `work` in one tab at a time; `signal` ends the wait for it. */
  exclusive(name: string, signal: AbortSignal, work: () => Promise<void>): Promise<void>;
  channel(name: string): TabChannel;
}

/** Reaches all other tabs, never the one that posts. */
export interface TabChannel {
  post(message: unknown): void;
  subscribe(listener: (message: unknown) => void): Cancel;
  close(): void;
}

export interface SharedOptions {
  /** Of what is shared: user and connection type belong in it. */
  readonly name: string;
  readonly tabs: Tabs;
  readonly clock: Clock;
  readonly visibility: Visibility;
  /** The socket of the tab that leads; its visibility is that of all tabs together. */
  readonly make: (visibility: Visibility) => Connection;
}

/** A tab that somebody looks at has better timers than a hidden one that leads: it says when to look. */
const CHECK_MS = 4_000;
const ASK_TIMEOUT_MS = 10_000;
/** The leader's own timeout speaks first. */
const GRACE_MS = 2_000;
const NEVER: Cancel = () => undefined;

interface Pending {
  readonly resolve: (data: Data) => void;
  readonly reject: (error: RequestError) => void;
  readonly cancel: Cancel;
}

/** A share of a connection. When the tab that leads is gone, another one leads: with a socket of its own, and so a sync. */
export class SharedConnection implements Connection {
  readonly #options: SharedOptions;
  readonly #id = crypto.randomUUID();
  readonly #states = new Emitter<ConnectionState>();
  readonly #frames = new Emitter<ServerFrame>();
  readonly #raw = new Emitter<RawFrame>();
  readonly #pending = new Map<number, Pending>();
  #state: ConnectionState = IDLE;
  #lastAsk = 0;
  #active = true;
  #channel: TabChannel | undefined;
  #leader: string | undefined;
  /** While this tab leads. */
  #own: Connection | undefined;
  #everybody: SharedVisibility | undefined;
  #wishes: Wishes | undefined;
  #stop: AbortController | undefined;
  #cancels: Cancel[] = [];
  #cancelCheck = NEVER;

  constructor(options: SharedOptions) {
    this.#options = options;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  connect(): void {
    if (this.#stop !== undefined) {
      // Again, after it has failed: whoever leads tries.
      if (this.#own !== undefined) this.#own.connect();
      else this.#post({ kind: "connect" });
      return;
    }
    const { tabs, name, visibility } = this.#options;
    const stop = new AbortController();
    this.#stop = stop;
    this.#channel = tabs.channel(name);
    this.#cancels = [
      this.#channel.subscribe((message) => this.#heard(message as TabMessage)),
      visibility.subscribe(() => this.#tellVisible()),
    ];
    this.#become({ status: "connecting", attempt: 0 });
    this.#post({ kind: "hello" });
    this.#check();
    tabs.exclusive(name, stop.signal, () => this.#lead(stop.signal)).catch(() => undefined);
  }

  disconnect(): void {
    if (this.#stop === undefined) return;
    this.#post({ kind: "bye", from: this.#id });
    this.#stop.abort();
    this.#stop = undefined;
    for (const cancel of this.#cancels) cancel();
    this.#cancels = [];
    this.#cancelCheck();
    this.#endLead();
    this.#channel?.close();
    this.#channel = undefined;
    this.#leader = undefined;
    this.#fail("not_connected");
    this.#become(IDLE);
  }

  dispose(): void {
    this.disconnect();
    this.#states.clear();
    this.#frames.clear();
    this.#raw.clear();
  }

  subscribe(listener: (state: ConnectionState) => void): Cancel {
    return this.#states.on(listener);
  }

  onFrame(listener: (frame: ServerFrame) => void): Cancel {
    return this.#frames.on(listener);
  }

  /** Only in the tab that leads: the others never see the wire. */
  onRaw(listener: (frame: RawFrame) => void): Cancel {
    return this.#raw.on(listener);
  }

  ask(action: string, data: Data, options: AskOptions = {}): Promise<Data> {
    const ask: Ask = { action, data, options };
    if (this.#own !== undefined) return this.#askOwn(this.#id, ask);
    if (this.#channel === undefined) return Promise.reject(new RequestError("not_connected", "there is no connection"));
    this.#lastAsk += 1;
    const id = this.#lastAsk;
    return new Promise((resolve, reject) => {
      const late = () => {
        this.#pending.delete(id);
        reject(new RequestError("timeout", `${action}: no answer in time`));
      };
      const cancel = this.#options.clock.after((options.timeoutMs ?? ASK_TIMEOUT_MS) + GRACE_MS, late);
      this.#pending.set(id, { resolve, reject, cancel });
      this.#post({ kind: "ask", from: this.#id, id, ask });
    });
  }

  send(action: string, data: Data): boolean {
    if (this.#own !== undefined) return this.#own.send(action, data);
    if (this.#state.welcome === undefined) return false;
    this.#post({ kind: "send", action, data });
    return true;
  }

  setActive(active: boolean): void {
    this.#active = active;
    this.#tellVisible();
  }

  check(): void {
    if (this.#own !== undefined) this.#own.check();
    else this.#post({ kind: "tab", from: this.#id, visible: this.#options.visibility.visible(), active: this.#active });
  }

  /** Leads until this tab does not want to be connected any more. */
  async #lead(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    this.#leader = this.#id;
    this.#fail("closed");
    this.#everybody = new SharedVisibility(this.#options.visibility, this.#options.clock);
    this.#wishes = new Wishes();
    const own = this.#options.make(this.#everybody);
    this.#own = own;
    this.#cancels.push(
      own.subscribe((state) => {
        this.#become(state);
        this.#post({ kind: "state", leader: this.#id, state });
      }),
      own.onFrame((frame) => {
        this.#frames.emit(frame);
        this.#post({ kind: "frame", frame });
      }),
      own.onRaw((frame) => this.#raw.emit(frame)),
    );
    this.#tellVisible();
    own.connect();
    await new Promise((end) => signal.addEventListener("abort", end));
  }

  #endLead(): void {
    this.#own?.dispose();
    this.#own = undefined;
    this.#everybody = undefined;
    this.#wishes = undefined;
  }

  #heard(message: TabMessage): void {
    if (this.#own === undefined) this.#heardByFollower(message);
    else this.#heardByLeader(this.#own, message);
  }

  #heardByFollower(message: TabMessage): void {
    if (message.kind === "frame") {
      this.#frames.emit(message.frame);
    } else if (message.kind === "state") {
      if (this.#leader !== undefined && this.#leader !== message.leader) this.#fail("closed");
      if (this.#leader !== message.leader) this.check();
      this.#leader = message.leader;
      this.#become(message.state);
    } else if (message.kind === "answer" && message.to === this.#id) {
      const pending = this.#pending.get(message.id);
      if (pending === undefined) return;
      this.#pending.delete(message.id);
      pending.cancel();
      if (message.error === undefined) pending.resolve(message.data ?? {});
      else pending.reject(new RequestError(message.error.code, message.error.message, message.error.retryAfterMs));
    }
  }

  #heardByLeader(own: Connection, message: TabMessage): void {
    if (message.kind === "hello") {
      this.#post({ kind: "state", leader: this.#id, state: own.state });
    } else if (message.kind === "connect") {
      own.connect();
    } else if (message.kind === "send") {
      own.send(message.action, message.data);
    } else if (message.kind === "ask") {
      const { from: to, id } = message;
      void answerOf(this.#askOwn(to, message.ask)).then((answer) => this.#post({ kind: "answer", to, id, ...answer }));
    } else if (message.kind === "tab") {
      this.#everybody?.tell(message.from, message.visible);
      own.setActive(this.#wishes?.active(message.from, message.active) ?? true);
      own.check();
    } else if (message.kind === "bye") {
      this.#everybody?.tell(message.from, false);
      own.setActive(this.#wishes?.gone(message.from) ?? true);
    }
  }

  /** What replaces what the socket followed before is asked for all tabs together. */
  #askOwn(tab: string, ask: Ask): Promise<Data> {
    const own = this.#own;
    if (own === undefined) return Promise.reject(new RequestError("closed", "another tab leads now"));
    const limit = own.state.welcome?.presenceUsersMax;
    const data = ask.action === "presence_subscribe" ? this.#wishes?.follow(tab, ask.data, limit) : undefined;
    return own.ask(ask.action, data ?? ask.data, ask.options);
  }

  #tellVisible(): void {
    if (this.#own !== undefined) this.#own.setActive(this.#wishes?.active(this.#id, this.#active) ?? this.#active);
    else this.check();
  }

  #check(): void {
    this.#cancelCheck = this.#options.clock.after(CHECK_MS, () => {
      if (this.#own === undefined && this.#options.visibility.visible()) this.check();
      this.#check();
    });
  }

  /** Whoever had the answers is gone. */
  #fail(code: string): void {
    const lost = [...this.#pending.values()];
    this.#pending.clear();
    for (const { cancel, reject } of lost) {
      cancel();
      reject(new RequestError(code, "the connection ended before the answer came"));
    }
  }

  #post(message: TabMessage): void {
    this.#channel?.post(message);
  }

  #become(state: ConnectionState): void {
    this.#state = state;
    this.#states.emit(state);
  }
}
