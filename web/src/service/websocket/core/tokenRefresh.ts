/** A new token passed to the socket in band, before the old one ends: the connection stays. */

import type { Cancel, Clock, TokenSource } from "../types";
import { RequestError } from "./errors";

/** When the next token is due, as a part of the token's life. */
const DUE_AT = 0.8;
/** Shortest pause between two attempts that fail, or that bring a token that is nearly over. */
export const SPACING_MS = 10_000;
const AGE_MAX_MS = 86_400_000;

/**
 * Milliseconds until another token should be used, from its own `exp` and `iat`, unverified: verifying is the server's
 * business. Bounded by both, so that a clock that is set wrong makes it earlier or later, never a loop.
 */
export function dueIn(token: string, wallMs: number): number {
  const { exp, iat } = claims(token);
  if (exp === undefined) return AGE_MAX_MS;
  const left = DUE_AT * (exp * 1000 - wallMs);
  const life = iat === undefined ? left : DUE_AT * (exp - iat) * 1000;
  return Math.min(Math.max(Math.min(left, life), SPACING_MS), AGE_MAX_MS);
}

function claims(token: string): { exp?: number; iat?: number } {
  try {
    const body = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const { exp, iat } = JSON.parse(atob(body)) as { exp?: unknown; iat?: unknown };
    return { ...(typeof exp === "number" && { exp }), ...(typeof iat === "number" && { iat }) };
  } catch {
    return {};
  }
}

type Ask = (action: string, data: Readonly<Record<string, unknown>>) => Promise<unknown>;

export class TokenRefresh {
  readonly #clock: Clock;
  readonly #tokens: TokenSource;
  readonly #ask: Ask;
  #turn = 0;
  #cancel: Cancel = () => undefined;

  constructor(clock: Clock, tokens: TokenSource, ask: Ask) {
    this.#clock = clock;
    this.#tokens = tokens;
    this.#ask = ask;
  }

  /** The server knows the socket by this token. */
  start(token: string): void {
    this.stop();
    this.#wait(token, dueIn(token, this.#clock.wall()));
  }

  stop(): void {
    this.#turn += 1;
    this.#cancel();
  }

  #wait(known: string, ms: number): void {
    const turn = this.#turn;
    this.#cancel = this.#clock.after(ms, () => void this.#refresh(known, turn));
  }

  async #refresh(known: string, turn: number): Promise<void> {
    let token: string | undefined;
    let wait = SPACING_MS;
    try {
      token = await this.#tokens.current();
      if (turn !== this.#turn) return;
      if (token !== known) {
        await this.#ask("refresh_token", { token });
        known = token;
        wait = dueIn(token, this.#clock.wall());
      }
    } catch (error) {
      // The old one is still good for a while: another is asked for later, and the socket left in peace.
      if (token !== undefined && refusesToken(error)) this.#tokens.refused(token);
    }
    if (turn === this.#turn) this.#wait(known, wait);
  }
}

function refusesToken(error: unknown): boolean {
  const codes = ["unauthenticated", "token_expired", "token_revoked", "forbidden"];
  return error instanceof RequestError && codes.includes(error.code);
}
