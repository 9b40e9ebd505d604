/** A chat store with what the browser gives: its database, locks, channels and object URLs. */

import type { AuthService } from "../authService";
import type { Log } from "../log";
import { browserEnvironment } from "../websocket/adapters/browser";
import type { Connection } from "../websocket/types";
import { Api } from "./api";
import type { Me } from "./model";
import type { Exclusive, OutboxNews, OutboxPeers } from "./outbox";
import { openStorage } from "./outboxStorage";
import { type ChatSession, createChatStore } from "./state";
import { Uploads, xhrUpload } from "./uploads";

export interface BrowserChatOptions {
  readonly me: Me;
  /** Of chat-api, without `/v1`; empty for the page's own origin. */
  readonly apiUrl: string;
  readonly auth: AuthService;
  readonly connection: Connection;
  readonly log: Log;
}

/** The store of one user; `run` begins, `stop` ends. The connection stays its caller's. */
export async function browserChat(options: BrowserChatOptions): Promise<ChatSession> {
  const { me, apiUrl, auth, connection, log } = options;
  const storage = await openStorage();
  const { peers, close } = outboxPeers(me.userId);
  const exclusive = webLocks();
  const store = createChatStore({
    me,
    connection,
    log,
    storage,
    api: new Api({ url: apiUrl, tokens: auth }),
    uploads: new Uploads({ url: apiUrl, tokens: auth, send: xhrUpload }),
    clock: browserEnvironment().clock,
    urls: { create: (blob) => URL.createObjectURL(blob), revoke: (url) => URL.revokeObjectURL(url) },
    ...(peers !== undefined && { peers }),
    ...(exclusive !== undefined && { exclusive }),
  });
  const stop = () => {
    store.stop();
    close();
  };
  return { ...store, stop };
}

/** Web Locks: one tab at a time; undefined where there are none, as on pages without TLS. */
export function webLocks(): Exclusive | undefined {
  const { locks } = navigator as { locks?: LockManager };
  return locks && (async (name, signal, work) => void (await locks.request(name, { signal }, work)));
}

function outboxPeers(userId: string): { peers?: OutboxPeers; close: () => void } {
  if (typeof BroadcastChannel === "undefined") return { close: () => undefined };
  const channel = new BroadcastChannel(`natter:outbox:${userId}`);
  const peers: OutboxPeers = {
    tell: (news) => channel.postMessage(news),
    subscribe: (listener) => {
      const heard = (event: MessageEvent<OutboxNews>) => listener(event.data);
      channel.addEventListener("message", heard);
      return () => channel.removeEventListener("message", heard);
    },
  };
  return { peers, close: () => channel.close() };
}
