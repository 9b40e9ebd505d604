/** Who is signed in: login, logout, the refresh that all share, and a token for whoever needs one. */

import type { Me, Role } from "./chat/model";
import type { components } from "./generated/openapi";
import { type Log, silentLog } from "./log";
import { SignedOut } from "./websocket/core/errors";
import { dueIn } from "./websocket/core/tokenRefresh";
import type { TokenSource } from "./websocket/types";

type TokenResponse = components["schemas"]["TokenResponse"];

/** Login came to nothing; `code` is one of docs/errors.md, or `network`. */
export class LoginFailed extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.name = "LoginFailed";
    this.code = code;
  }
}

export interface AuthDeps {
  /** Of chat-api, without `/v1`; empty for the page's own origin. */
  readonly apiUrl: string;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  /**
   * Where the refresh token stays. The access token never leaves memory: it is what every script of the page would look
   * for, and lasts a quarter of an hour. The refresh token has to survive a reload, and the server's answer is no cookie;
   * so it is kept in localStorage, which other tabs share: each refresh token is good once, and two tabs with copies of
   * their own (sessionStorage is copied when a tab is duplicated) would end each other's session by using it twice. What
   * could read it is a script in the page, which the strict CSP is there to keep out.
   */
  readonly storage: Pick<Storage, "getItem" | "setItem" | "removeItem">;
  readonly wall: () => number;
  /** Runs one after the other across tabs, where the browser can. */
  readonly exclusive?: <T>(name: string, work: () => Promise<T>) => Promise<T>;
  readonly log?: Log;
}

interface Kept {
  readonly refreshToken: string;
  readonly me: Me;
}

const KEY = "natter.session";
const REQUEST_TIMEOUT_MS = 15_000;
const ROLES: readonly Role[] = ["customer", "consultant", "doctor", "admin"];

export class AuthService implements TokenSource {
  readonly #deps: AuthDeps;
  readonly #log: Log;
  readonly #listeners = new Set<() => void>();
  #access: { readonly token: string; readonly dueAt: number } | undefined;
  #refreshing: Promise<string> | undefined;
  #me: Me | undefined;

  constructor(deps: AuthDeps) {
    this.#deps = deps;
    this.#log = deps.log ?? silentLog;
    this.#me = this.#kept()?.me;
  }

  /** Who is signed in, as far as this page knows; undefined if nobody is. */
  get me(): Me | undefined {
    return this.#me;
  }

  /** Called after each login and logout, wherever it came from. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Signs in; throws `LoginFailed`, and then whoever was signed in before still is. */
  async login(userId: string, password: string): Promise<Me> {
    const response = await this.#post("/v1/auth/token", { user_id: userId, password });
    if (!response.ok) throw await loginFailed(response);
    const tokens = (await response.json()) as TokenResponse;
    const me = await this.#whoAmI(tokens.access_token);
    this.#keep(tokens, me);
    this.#log("auth", { event: "login", user: me.userId });
    this.#changed(me);
    return me;
  }

  /** Ends the session here, and on the server if it can be reached. */
  async logout(): Promise<void> {
    const token = this.#access?.token ?? (await this.current().catch(() => undefined));
    this.#forget("logout");
    if (token === undefined) return;
    // The page is signed out whatever the server says: an unused refresh token ends by itself.
    await this.#post("/v1/auth/logout", {}, token).catch(() => undefined);
  }

  /** An access token that is good for a while; one refresh serves all who ask meanwhile. */
  async current(): Promise<string> {
    if (this.#access !== undefined && this.#deps.wall() < this.#access.dueAt) return this.#access.token;
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  refused(token: string): void {
    if (this.#access?.token === token) this.#access = undefined;
  }

  /** Another tab signed in or out; to be called on its `storage` events. */
  storageChanged(): void {
    const me = this.#kept()?.me;
    if (me?.userId === this.#me?.userId) return;
    this.#access = undefined;
    this.#changed(me);
  }

  #refresh(): Promise<string> {
    const { exclusive } = this.#deps;
    // In turn with the other tabs: the refresh token that was read must not be used by another tab meanwhile.
    return exclusive === undefined ? this.#rotate() : exclusive("natter:auth", () => this.#rotate());
  }

  async #rotate(): Promise<string> {
    const kept = this.#kept();
    if (kept === undefined) throw new SignedOut();
    const response = await this.#post("/v1/auth/refresh", { refresh_token: kept.refreshToken });
    if (response.status === 401 || response.status === 403 || response.status === 422) {
      // Unless another tab, in a browser without locks, was quicker: then its token is there now.
      if (this.#kept()?.refreshToken === kept.refreshToken) this.#forget("refused");
      throw new SignedOut("the session is over: sign in again");
    }
    if (!response.ok) throw new Error(`no fresh token: ${response.status}`);
    const tokens = (await response.json()) as TokenResponse;
    if (this.#kept()?.me.userId !== kept.me.userId) throw new SignedOut();
    this.#keep(tokens, kept.me);
    return tokens.access_token;
  }

  async #whoAmI(token: string): Promise<Me> {
    const init = { headers: { Authorization: `Bearer ${token}` }, signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) };
    const response = await this.#fetch("/v1/users/me", init);
    if (!response.ok) throw await loginFailed(response);
    const user = (await response.json()) as components["schemas"]["UserOut"];
    const roles = ROLES.filter((role) => user.roles.includes(role));
    return { userId: user.user_id, name: user.name ?? user.user_id, roles };
  }

  #post(path: string, body: object, token?: string): Promise<Response> {
    const headers = {
      "Content-Type": "application/json",
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
    };
    const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS);
    return this.#fetch(path, { method: "POST", headers, body: JSON.stringify(body), signal });
  }

  async #fetch(path: string, init: RequestInit): Promise<Response> {
    try {
      return await this.#deps.fetch(this.#deps.apiUrl + path, init);
    } catch {
      throw new LoginFailed("network", "the server cannot be reached");
    }
  }

  #keep(tokens: TokenResponse, me: Me): void {
    const now = this.#deps.wall();
    this.#access = { token: tokens.access_token, dueAt: now + dueIn(tokens.access_token, now) };
    try {
      this.#deps.storage.setItem(KEY, JSON.stringify({ refreshToken: tokens.refresh_token, me } satisfies Kept));
    } catch {
      this.#log("auth", { event: "not_kept" });
    }
  }

  #kept(): Kept | undefined {
    try {
      const kept = JSON.parse(this.#deps.storage.getItem(KEY) ?? "null") as Kept | null;
      return typeof kept?.refreshToken === "string" && typeof kept.me?.userId === "string" ? kept : undefined;
    } catch {
      return undefined;
    }
  }

  #forget(why: string): void {
    this.#access = undefined;
    try {
      this.#deps.storage.removeItem(KEY);
    } catch {
      // What could not be written is not there either.
    }
    this.#log("auth", { event: why });
    this.#changed(undefined);
  }

  #changed(me: Me | undefined): void {
    this.#me = me;
    for (const listener of [...this.#listeners]) listener();
  }
}

async function loginFailed(response: Response): Promise<LoginFailed> {
  const problem = (await response.json().catch(() => undefined)) as { code?: unknown; detail?: unknown } | undefined;
  const code = typeof problem?.code === "string" ? problem.code : "internal";
  return new LoginFailed(
    code,
    typeof problem?.detail === "string" ? problem.detail : `refused with ${response.status}`,
  );
}

/** The service of this page, with the browser's storage and locks. */
export function browserAuth(apiUrl: string, log?: Log): AuthService {
  const { locks } = navigator as { locks?: LockManager };
  const service = new AuthService({
    apiUrl,
    fetch: (url, init) => fetch(url, init),
    storage: localStorage,
    wall: () => Date.now(),
    ...(locks !== undefined && {
      exclusive: async <T>(name: string, work: () => Promise<T>): Promise<T> => (await locks.request(name, work)) as T,
    }),
    ...(log !== undefined && { log }),
  });
  window.addEventListener("storage", (event) => {
    if (event.key === KEY || event.key === null) service.storageChanged();
  });
  return service;
}
