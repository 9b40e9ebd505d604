/** chat-api over HTTP: typed calls, typed errors, one fresh token for all whose old one was refused. */

import createClient, { type Client, type Middleware } from "openapi-fetch";
import type { components, paths } from "../generated/openapi";
import { SignedOut } from "../websocket/core/errors";
import type { TokenSource } from "../websocket/types";

export type Schemas = components["schemas"];

/**
 * A request came to nothing. `code` is one of docs/errors.md, or `network` where there was no answer of ours. `status` is 0
 * without an answer. After `network` it may have been done: whatever acts is repeated under the same name.
 */
export class ApiError extends Error {
  readonly code: string;
  readonly status: number;
  readonly retryAfterMs: number;
  /** Wrong fields, if that is what it was. */
  readonly fields: readonly { readonly field: string; readonly message: string }[];

  constructor(code: string, message: string, status = 0, retryAfterMs = 0, fields: ApiError["fields"] = []) {
    super(message);
    this.name = "ApiError";
    this.code = code;
    this.status = status;
    this.retryAfterMs = retryAfterMs;
    this.fields = fields;
  }
}

const RETRYABLE: ReadonlySet<string> = new Set(["rate_limited", "unavailable", "timeout", "internal", "network"]);
const OF_TOKEN: ReadonlySet<string> = new Set(["unauthenticated", "token_expired"]);
/** A `Retry-After` above it is taken for a mistake. */
const RETRY_AFTER_MAX_MS = 300_000;
const TIMEOUT_MS = 15_000;
/** A file takes as long as it takes, within reason. */
const FILE_TIMEOUT_MS = 300_000;

/** Whether the very same request may succeed later: the code says so, or it was nobody of ours who refused. */
export function mayRetry(error: { readonly code: string; readonly status?: number }): boolean {
  return RETRYABLE.has(error.code) || OF_TOKEN.has(error.code);
}

/** Milliseconds of a `Retry-After` header; its form as a date is not used here. */
export function retryAfterMs(value: string | null): number {
  const seconds = Number(value ?? 0);
  return Number.isFinite(seconds) ? Math.min(Math.max(0, seconds * 1000), RETRY_AFTER_MAX_MS) : 0;
}

/** What an answer that is no success stands for. */
export function apiError(status: number, body: unknown, retryAfter: string | null): ApiError {
  const problem = (typeof body === "object" && body !== null ? body : {}) as Partial<Schemas["Problem"]>;
  const known = typeof problem.code === "string";
  // Not one of ours: a proxy between, or a release that knows more codes. Then the status alone says what it may.
  const code = known ? String(problem.code) : status >= 500 || status === 429 ? "network" : "refused";
  const detail = typeof problem.detail === "string" ? problem.detail : `refused with ${status}`;
  return new ApiError(code, detail, status, retryAfterMs(retryAfter), problem.errors ?? []);
}

export interface ApiDeps {
  /** Without `/v1`; empty for the page's own origin. */
  readonly url: string;
  readonly tokens: TokenSource;
  readonly fetch?: (request: Request) => Promise<Response>;
}

/** What `openapi-fetch` answers. */
interface Outcome<T> {
  readonly data?: T;
  readonly error?: unknown;
  readonly response: Response;
}

export class Api {
  readonly url: string;
  readonly tokens: TokenSource;
  readonly #client: Client<paths>;
  readonly #fetch: (request: Request) => Promise<Response>;

  constructor(deps: ApiDeps) {
    this.url = deps.url.replace(/\/$/, "");
    this.tokens = deps.tokens;
    this.#fetch = deps.fetch ?? ((request) => fetch(request));
    this.#client = createClient<paths>({
      baseUrl: this.url === "" ? location.origin : this.url,
      fetch: (request) => this.#send(request),
    });
    this.#client.use(withTimeout);
  }

  /** One request by a typed client; its answer's body. Throws `ApiError`, or `SignedOut`. */
  async call<T>(ask: (client: Client<paths>) => Promise<Outcome<T>>): Promise<T> {
    const { data, error, response } = await ask(this.#client);
    if (!response.ok) throw apiError(response.status, error, response.headers.get("Retry-After"));
    return data as T;
  }

  /** The content of an attachment. */
  async attachment(id: string): Promise<Blob> {
    const outcome = await this.call((client) =>
      client.GET("/v1/attachments/{attachment_id}", { params: { path: { attachment_id: id } }, parseAs: "blob" }),
    );
    return outcome as unknown as Blob;
  }

  async #send(request: Request): Promise<Response> {
    const again = request.clone();
    const token = await this.#token();
    const response = await this.#once(request, token);
    if (response.status !== 401) return response;
    this.tokens.refused(token);
    return this.#once(again, await this.#token());
  }

  async #token(): Promise<string> {
    try {
      return await this.tokens.current();
    } catch (error) {
      if (error instanceof SignedOut) throw error;
      throw new ApiError("network", "no token is to be had at the moment");
    }
  }

  async #once(request: Request, token: string): Promise<Response> {
    request.headers.set("Authorization", `Bearer ${token}`);
    try {
      return await this.#fetch(request);
    } catch {
      throw new ApiError("network", "the server cannot be reached");
    }
  }
}

const withTimeout: Middleware = {
  onRequest({ request, schemaPath }) {
    const limit = AbortSignal.timeout(schemaPath.startsWith("/v1/attachments") ? FILE_TIMEOUT_MS : TIMEOUT_MS);
    return new Request(request, { signal: AbortSignal.any([request.signal, limit]) });
  },
};
