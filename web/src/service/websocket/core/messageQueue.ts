/** Requests over the socket: each has a `ref`, an answer or a timeout; those that may wait for a socket are bounded. */

import type { AskOptions, Cancel, Clock, ServerFrame } from "../types";
import { RequestError } from "./errors";
import { byteLength, encodeFrame } from "./serializer";

type Data = Readonly<Record<string, unknown>>;

const TIMEOUT_MS = 10_000;
/** Requests that may be under way or wait; more at once is a mistake of the caller. */
export const PENDING_MAX = 200;

interface Pending {
  readonly text: string;
  readonly settle: (outcome: Data | RequestError) => void;
  sent: boolean;
}

/** What a socket is to the queue. */
export interface Writer {
  readonly frameBytesMax: number;
  write(text: string): void;
}

export class MessageQueue {
  readonly #clock: Clock;
  readonly #pending = new Map<number, Pending>();
  #writer: Writer | undefined;
  #lastRef = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#pending.size;
  }

  /** Sends it, or keeps it until there is a socket if `queue` allows that. */
  ask(action: string, data: Data, options: AskOptions = {}): Promise<Data> {
    const ref = ++this.#lastRef;
    const text = encodeFrame(action, data, ref);
    const refused = this.#refusal(text, options.queue === true);
    if (refused !== undefined) return Promise.reject(refused);
    return new Promise((resolve, reject) => {
      let cancel: Cancel = () => undefined;
      const settle = (outcome: Data | RequestError) => {
        cancel();
        this.#pending.delete(ref);
        if (outcome instanceof RequestError) reject(outcome);
        else resolve(outcome);
      };
      const late = () => settle(new RequestError("timeout", `${action}: no answer in time`));
      cancel = this.#clock.after(options.timeoutMs ?? TIMEOUT_MS, late);
      const pending: Pending = { text, settle, sent: false };
      this.#pending.set(ref, pending);
      this.#write(pending);
    });
  }

  /** Sends without a `ref`: whatever the server says to it is not waited for. */
  send(action: string, data: Data): boolean {
    if (this.#writer === undefined) return false;
    this.#writer.write(encodeFrame(action, data));
    return true;
  }

  /** There is a socket: what waited goes out, in the order in which it was asked. */
  attach(writer: Writer): void {
    this.#writer = writer;
    for (const pending of this.#pending.values()) this.#write(pending);
  }

  /** The socket is gone, and with it the answers to what was sent; what waits for one goes on waiting. */
  detach(): void {
    this.#writer = undefined;
    for (const pending of [...this.#pending.values()]) {
      if (pending.sent) pending.settle(new RequestError("closed", "the connection ended before the answer came"));
    }
  }

  /** Nothing will be answered any more. */
  clear(): void {
    this.detach();
    for (const pending of [...this.#pending.values()]) {
      pending.settle(new RequestError("not_connected", "there is no connection"));
    }
  }

  /** Passes an answer to whoever asked; false if it is no answer, or a late one. */
  answer(frame: ServerFrame): boolean {
    const pending = typeof frame.ref === "number" ? this.#pending.get(frame.ref) : undefined;
    if (pending === undefined) return false;
    pending.settle(frame.action === "error" ? errorOf(frame.data) : frame.data);
    return true;
  }

  #refusal(text: string, queue: boolean): RequestError | undefined {
    if (this.#writer === undefined && !queue) return new RequestError("not_connected", "there is no connection");
    if (this.#pending.size >= PENDING_MAX)
      return new RequestError("queue_full", `${PENDING_MAX} requests wait already`);
    if (this.#writer !== undefined && byteLength(text) > this.#writer.frameBytesMax) return tooBig();
    return undefined;
  }

  #write(pending: Pending): void {
    if (this.#writer === undefined || pending.sent) return;
    if (byteLength(pending.text) > this.#writer.frameBytesMax) {
      pending.settle(tooBig());
      return;
    }
    pending.sent = true;
    this.#writer.write(pending.text);
  }
}

/** Sending it would close the socket (4413). */
function tooBig(): RequestError {
  return new RequestError("frame_too_big", "more than fits into one frame");
}

function errorOf(data: Data): RequestError {
  const code = typeof data.code === "string" ? data.code : "internal";
  const message = typeof data.message === "string" ? data.message : code;
  const wait = typeof data.retry_after_ms === "number" && data.retry_after_ms > 0 ? data.retry_after_ms : 0;
  return new RequestError(code, message, wait);
}
