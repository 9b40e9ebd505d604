/** Everything that an application shares: who is signed in, chat-api, and the connections of its pages. */

import { type AuthService, browserAuth } from "./authService";
import { Api } from "./chat/api";
import { deviceId, thisDevice } from "./device";
import { consoleLog, type Log } from "./log";
import { PageConnections, type Wanted } from "./pageConnections";
import { browserEnvironment } from "./websocket/adapters/browser";
import { browserConnection } from "./websocket/adapters/browserConnection";
import { SocketConnection } from "./websocket/core/connection";
import type { Connection, TokenSource } from "./websocket/types";

export interface NatterOptions {
  /** Of chat-api, without `/v1`; empty for the page's own origin. */
  readonly apiUrl?: string;
  /** Of the edges, `wss://…/v1/ws`; none: `/v1/ws` of the page's own origin. */
  readonly wsUrls?: readonly string[];
  readonly log?: Log;
}

export interface Natter {
  readonly apiUrl: string;
  readonly auth: AuthService;
  readonly api: Api;
  readonly connections: PageConnections;
  readonly log: Log;
}

/** For one page; makes no request and opens no socket by itself. */
export function createNatter(options: NatterOptions = {}): Natter {
  const apiUrl = (options.apiUrl ?? "").replace(/\/$/, "");
  const wsUrls = options.wsUrls?.length ? options.wsUrls : [ownSocketUrl(apiUrl || location.origin)];
  const log = options.log ?? consoleLog(localStorage);
  const auth = browserAuth(apiUrl, log);
  const make = (wanted: Wanted) => openConnection(wanted, wsUrls, auth);
  const connections = new PageConnections(make, browserEnvironment().clock, log);
  return { apiUrl, auth, api: new Api({ url: apiUrl, tokens: auth }), connections, log };
}

function ownSocketUrl(origin: string): string {
  return `${origin.replace(/^http/, "ws")}/v1/ws`;
}

function openConnection(wanted: Wanted, urls: readonly string[], tokens: TokenSource): Connection {
  const options = {
    urls,
    deviceType: thisDevice(),
    // Of this connection alone: its next socket replaces the last one at the edge even if that one does not know yet that
    // it is dead, and two tabs, or a tab's chat and its admin page, do not throw each other out.
    deviceId: `${deviceId(localStorage)}:${crypto.randomUUID().slice(0, 8)}`,
    connectionType: wanted.connectionType,
  };
  if (wanted.environment !== undefined) return new SocketConnection(wanted.environment, tokens, options);
  // Tabs that show the same page to the same user share one socket; pages share nothing.
  return browserConnection(tokens, options, `natter:${wanted.userId}:${wanted.connectionType}:${wanted.page}`);
}
