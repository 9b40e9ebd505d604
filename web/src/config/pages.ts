/** Which page has a WebSocket, and what for: the one list that decides whether a page connects at all. */

import type { ConnectionType } from "../service/websocket/types";

/** What a page's socket is used for. Chats are for talking, the admin page for watching; neither does the other's. */
export type PageFeature =
  | "messaging"
  | "typing_indicator"
  | "file_upload"
  | "voice_note"
  | "system_notifications"
  | "user_monitoring"
  | "real_time_stats";

export interface PageWebSocketConfig {
  /** Without it the page never has a socket, whatever else stands here. */
  readonly enabled: boolean;
  /** Connect only if somebody is signed in. */
  readonly requireAuth: boolean;
  /** Connect when the page is shown; otherwise when `connect` is called. */
  readonly autoConnect: boolean;
  readonly connectionType: ConnectionType;
  readonly features: readonly PageFeature[];
}

/** By route: the longest one that the address begins with, segment by segment, is the page's. */
export type PageConfigs = Readonly<Record<string, PageWebSocketConfig>>;

/** A page that is not listed: no socket. */
export const NO_WEBSOCKET: PageWebSocketConfig = {
  enabled: false,
  requireAuth: true,
  autoConnect: false,
  connectionType: "chat",
  features: [],
};

export const PAGE_WEBSOCKET_CONFIG: PageConfigs = {
  "/login": NO_WEBSOCKET,
  "/chat": {
    enabled: true,
    requireAuth: true,
    autoConnect: true,
    connectionType: "chat",
    features: ["messaging", "typing_indicator", "file_upload", "voice_note"],
  },
  "/admin": {
    enabled: true,
    requireAuth: true,
    autoConnect: true,
    connectionType: "admin",
    features: ["system_notifications", "user_monitoring", "real_time_stats"],
  },
  "/test-websocket": {
    enabled: true,
    requireAuth: true,
    // Whoever looks for a mistake wants to see the first frame, too.
    autoConnect: false,
    connectionType: "chat",
    features: ["messaging"],
  },
};

/** The route among `pages` that an address belongs to, with its settings; a page of its own without any, if none does. */
export function pageOf(
  pathname: string,
  pages: PageConfigs = PAGE_WEBSOCKET_CONFIG,
): { readonly page: string; readonly config: PageWebSocketConfig } {
  const segments = pathname.split("/").filter((segment) => segment !== "");
  for (let length = segments.length; length >= 0; length -= 1) {
    const page = `/${segments.slice(0, length).join("/")}`;
    const config = Object.hasOwn(pages, page) ? pages[page] : undefined;
    // The root's settings are the root's alone: a new page has no socket until somebody gives it one.
    if (config !== undefined && (page !== "/" || segments.length === 0)) return { page, config };
  }
  return { page: pathname, config: NO_WEBSOCKET };
}

/** Whether a page is meant to do that. */
export function hasFeature(config: PageWebSocketConfig, feature: PageFeature): boolean {
  return config.enabled && config.features.includes(feature);
}
