/** A page's connection in React: page shown → config checked → auth checked → held, and connected only if both allow it. */

import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import { useLocation } from "react-router";
import {
  hasFeature,
  PAGE_WEBSOCKET_CONFIG,
  type PageConfigs,
  type PageFeature,
  type PageWebSocketConfig,
  pageOf,
} from "../config/pages";
import { IDLE } from "../service/websocket/core/state";
import type { Connection, ConnectionState, Environment } from "../service/websocket/types";
import { useMe, useNatter } from "./useNatter";

export interface PageConnection {
  /** undefined as long as config or auth do not allow one. */
  readonly connection: Connection | undefined;
  readonly state: ConnectionState;
  readonly config: PageWebSocketConfig;
  /** Config and auth allow a connection. */
  readonly isEnabled: boolean;
}

export interface PageConnectionOptions {
  readonly pages?: PageConfigs;
  /** Instead of the browser's, for a page that looks for mistakes. Must stay the same object. */
  readonly environment?: Environment;
}

/** Whether the page that is shown is meant to do that. For components below a router. */
export function usePageFeature(feature: PageFeature, pages: PageConfigs = PAGE_WEBSOCKET_CONFIG): boolean {
  return hasFeature(pageOf(useLocation().pathname, pages).config, feature);
}

/** The connection of the page with that address; all components of the page share it, and it ends with the last of them. */
export function usePageConnection(pathname: string, options: PageConnectionOptions = {}): PageConnection {
  const { connections } = useNatter();
  const userId = useMe()?.userId;
  const { environment, pages = PAGE_WEBSOCKET_CONFIG } = options;
  const { page, config } = pageOf(pathname, pages);
  const { enabled, requireAuth, autoConnect, connectionType } = config;
  const isEnabled = enabled && (!requireAuth || userId !== undefined);
  const [connection, setConnection] = useState<Connection>();

  useEffect(() => {
    if (!isEnabled) return;
    const wanted = { page, connectionType, userId, autoConnect, ...(environment !== undefined && { environment }) };
    const held = connections.hold(wanted);
    setConnection(held.connection);
    return () => {
      setConnection(undefined);
      held.release();
    };
  }, [connections, isEnabled, page, connectionType, userId, autoConnect, environment]);

  return { connection, state: useConnectionState(connection), config, isEnabled };
}

/** The state of a connection, at once when it changes. */
export function useConnectionState(connection: Connection | undefined): ConnectionState {
  const subscribe = useCallback(
    (listener: () => void) => connection?.subscribe(listener) ?? (() => undefined),
    [connection],
  );
  return useSyncExternalStore(subscribe, () => connection?.state ?? IDLE);
}
