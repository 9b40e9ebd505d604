/** The states of a connection, and the one function that goes from one to the next. Pure. */

import type { ConnectionState, Failure, Welcome } from "../types";

/**
 * ```
 * idle ─► connecting ─► connected ◄─► reconnecting ─► offline      failed: coming back is no use
 * ```
 * `offline` is what the browser says of its network, or what many failed attempts say; it is tried again, slowly.
 */
export type ConnectionEvent =
  | { readonly type: "attempt" }
  | { readonly type: "connected"; readonly welcome: Welcome }
  /** The connection has lasted: the series of failed attempts is over. */
  | { readonly type: "stable" }
  /** The socket, or the attempt to have one, ended; the next attempt waits until `retryAt`, if it does. */
  | {
      readonly type: "lost";
      readonly failure: Failure;
      readonly attempt: number;
      readonly offline: boolean;
      readonly retryAt?: number;
    }
  | { readonly type: "network"; readonly online: boolean }
  /** Something arrived. */
  | { readonly type: "heard" }
  | { readonly type: "refused"; readonly failure: Failure }
  | { readonly type: "disconnect" };

export const IDLE: ConnectionState = { status: "idle", attempt: 0 };

/** The state after `event`; the same object if nothing changed. */
export function reduce(state: ConnectionState, event: ConnectionEvent): ConnectionState {
  switch (event.type) {
    case "attempt":
      return attempted(state);
    case "connected":
      return { status: "connected", attempt: state.attempt, welcome: event.welcome };
    case "stable":
      return state.attempt === 0 ? state : { ...state, attempt: 0 };
    case "lost": {
      const status = event.offline ? "offline" : "reconnecting";
      const next = { status, attempt: event.attempt, failure: event.failure } as const;
      return event.retryAt === undefined ? next : { ...next, retryAt: event.retryAt };
    }
    case "network":
      return event.online ? online(state) : offline(state);
    case "heard":
      return state.status === "offline" && state.welcome !== undefined ? { ...state, status: "connected" } : state;
    case "refused":
      return { status: "failed", attempt: state.attempt, failure: event.failure };
    case "disconnect":
      return state.status === "idle" ? state : IDLE;
  }
}

function attempted(state: ConnectionState): ConnectionState {
  if (state.status === "idle" || state.status === "failed") return { status: "connecting", attempt: 0 };
  if (state.retryAt === undefined) return state;
  const { retryAt: _, ...rest } = state;
  return rest;
}

/** The browser's word is shown at once, but it kills nothing: a socket that still works says so by what it brings. */
function offline(state: ConnectionState): ConnectionState {
  const counts = state.status === "connecting" || state.status === "connected" || state.status === "reconnecting";
  return counts ? { ...state, status: "offline" } : state;
}

function online(state: ConnectionState): ConnectionState {
  // With a socket the next frame tells; without one an attempt begins.
  return state.status === "offline" && state.welcome === undefined ? { ...state, status: "reconnecting" } : state;
}
