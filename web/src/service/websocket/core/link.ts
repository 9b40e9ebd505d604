/** One socket, from the request to its end: the connection has one of these at a time, two while it moves to another edge. */

import type { Cancel, Environment, ServerFrame, Socket, Welcome } from "../types";
import { CLOSE, type Ended } from "./reconnect";
import { parseFrame, parseWelcome } from "./serializer";

const SUBPROTOCOL = "natter.v1";
const BEARER = "bearer.";

export interface LinkEvents {
  onWelcome(link: Link): void;
  /** Something arrived, whether it was understood or not. */
  onHeard(link: Link): void;
  onFrame(link: Link, frame: ServerFrame): void;
  /** Called once, unless `drop` was called before. */
  onEnd(link: Link, ended: Ended): void;
  onRaw(direction: "in" | "out", text: string): void;
}

export interface LinkOptions {
  readonly url: string;
  readonly token: string;
  readonly timeoutMs: number;
  readonly heartbeatMs: number;
}

export class Link {
  readonly token: string;
  welcome: Welcome | undefined;
  /** When the server wants us elsewhere, by `Clock.now`. */
  leaveAt: number | undefined;
  readonly #environment: Environment;
  readonly #options: LinkOptions;
  readonly #events: LinkEvents;
  readonly #socket: Socket;
  readonly #cancelTimeout: Cancel;
  #since: number | undefined;
  #over = false;

  /** Opens the socket at once; throws if the address is none. */
  constructor(environment: Environment, options: LinkOptions, events: LinkEvents) {
    this.token = options.token;
    this.#environment = environment;
    this.#options = options;
    this.#events = events;
    // The token goes among the subprotocols: addresses end up in logs.
    this.#socket = environment.transport.open(options.url, [SUBPROTOCOL, BEARER + options.token], {
      onOpen: () => undefined,
      onText: (text) => this.#text(text),
      onClose: (code, reason) => this.#end(code, reason),
    });
    this.#cancelTimeout = environment.clock.after(options.timeoutMs, () => this.abort("not connected in time"));
  }

  write(text: string): void {
    if (this.#over) return;
    this.#events.onRaw("out", text);
    this.#socket.send(text);
  }

  /** Closes it, and says nothing of it any more. */
  drop(reason = ""): void {
    if (!this.#finish()) return;
    this.#socket.close(CLOSE.normal, reason);
  }

  /** Nobody is at the other end: it ends now, whenever the browser gets around to closing it. */
  abort(reason: string): void {
    if (this.#over) return;
    this.#end(CLOSE.broken, reason);
    this.#socket.close();
  }

  #finish(): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.#cancelTimeout();
    return true;
  }

  #end(code: number, reason: string): void {
    if (!this.#finish()) return;
    const now = this.#environment.clock.now();
    this.#events.onEnd(this, {
      code,
      reason,
      ...(this.#since !== undefined && { lastedMs: now - this.#since }),
      ...(this.leaveAt !== undefined && { toldMs: this.leaveAt - now }),
    });
  }

  #text(text: string): void {
    if (this.#over) return;
    this.#events.onRaw("in", text);
    this.#events.onHeard(this);
    const frame = parseFrame(text);
    if (frame === undefined) return;
    if (this.welcome !== undefined) {
      this.#events.onFrame(this, frame);
      return;
    }
    this.welcome = parseWelcome(frame, this.#options.heartbeatMs, this.#options.timeoutMs);
    if (this.welcome === undefined) {
      this.abort("the first frame is not `connected`");
      return;
    }
    this.#cancelTimeout();
    this.#since = this.#environment.clock.now();
    this.#events.onWelcome(this);
    this.#events.onFrame(this, frame);
  }
}
