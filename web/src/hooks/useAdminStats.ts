/** Live figures in React: from the page's socket, and by asking as long as there is none. */

import { useCallback, useEffect, useReducer, useState } from "react";
import { NO_STATS, readStats, type StatsWindow, withStats } from "../service/admin/stats";
import type { ServerMessage } from "../service/websocket/adapters/messageAdapter";
import type { Connection, ConnectionStatus } from "../service/websocket/types";
import { useAdmin } from "./useAdmin";
import { useMessages } from "./useWebSocketByPage";

const ASK_EVERY_MS = 5_000;

export interface LiveStats {
  readonly window: StatsWindow;
  /** Why asking came to nothing the last time; undefined once figures came again. */
  readonly error: unknown;
}

export function useAdminStats(connection: Connection | undefined, status: ConnectionStatus): LiveStats {
  const admin = useAdmin();
  const [window, add] = useReducer(withStats, NO_STATS);
  const [error, setError] = useState<unknown>();

  const onMessage = useCallback((message: ServerMessage): void => {
    const stats = message.action === "stats" ? readStats(message.data) : undefined;
    if (stats === undefined) return;
    setError(undefined);
    add(stats);
  }, []);
  useMessages(connection, onMessage);

  const live = status === "connected";
  useEffect(() => {
    let gone = false;
    const ask = (): void => {
      // Nobody looks: nobody asks.
      if (document.hidden) return;
      admin.stats().then(
        (stats) => {
          if (gone) return;
          setError(undefined);
          add(stats);
        },
        (failure: unknown) => !gone && setError(failure),
      );
    };
    // Once in any case: the first frame is up to two seconds away.
    ask();
    const timer = live ? undefined : setInterval(ask, ASK_EVERY_MS);
    return () => {
      gone = true;
      clearInterval(timer);
    };
  }, [admin, live]);

  return { window, error };
}
