/** What can go wrong with a request over the socket, or with being allowed to have one. */

/**
 * A request came to nothing. `code` is one of docs/errors.md, or of this side: `timeout`, `closed` (the socket went before
 * the answer came), `not_connected`, `queue_full`, `frame_too_big`. After `timeout` and `closed` it may have been done.
 */
export class RequestError extends Error {
  readonly code: string;
  readonly retryAfterMs: number;

  constructor(code: string, message: string, retryAfterMs = 0) {
    super(message);
    this.name = "RequestError";
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
}

/** There is no token and there will be none until somebody signs in. */
export class SignedOut extends Error {
  constructor(message = "nobody is signed in") {
    super(message);
    this.name = "SignedOut";
  }
}
