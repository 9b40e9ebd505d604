/** The WebSocket of the page that is shown, by `PAGE_WEBSOCKET_CONFIG`. */

import { useCallback, useEffect, useState } from "react";
import { useLocation } from "react-router";
import type { PageWebSocketConfig } from "../config/pages";
import { adaptMessage, type ServerMessage } from "../service/websocket/adapters/messageAdapter";
import { RequestError } from "../service/websocket/core/errors";
import type { Connection, ConnectionStatus, ConnectionType } from "../service/websocket/types";
import { type PageConnection, type PageConnectionOptions, usePageConnection } from "./usePageConnection";

type Data = Readonly<Record<string, unknown>>;

/** Something to say to the server: docs/socket.md, "From the client". */
export interface ClientMessage {
  readonly action: string;
  readonly data?: Data;
}

export interface WebSocketByPage {
  readonly isConnected: boolean;
  readonly connectionStatus: ConnectionStatus;
  /** Config and auth allow this page a connection. */
  readonly isEnabled: boolean;
  readonly connectionType: ConnectionType;
  /**
   * The latest message, such as `action === "new_message"` with the message in `data`. Of several that come at once a
   * component may be shown the last one alone: what needs every message takes a `ChatStore`, or `useMessages`.
   */
  readonly lastMessage: ServerMessage | undefined;
  /** Resolves with the server's answer; rejects with a `RequestError`, at once without a connection. */
  readonly sendMessage: (message: ClientMessage) => Promise<Data>;
  readonly connect: () => void;
  readonly disconnect: () => void;
  readonly config: PageWebSocketConfig;
}

/** For components below a router; elsewhere see `useWebSocketOf`. */
export function useWebSocketByPage(options?: PageConnectionOptions): WebSocketByPage {
  return useWebSocketOf(usePageConnection(useLocation().pathname, options));
}

/** The same for a connection that the page holds already. */
export function useWebSocketOf({ connection, state, config, isEnabled }: PageConnection): WebSocketByPage {
  const [lastMessage, setLastMessage] = useState<ServerMessage>();
  useMessages(connection, setLastMessage);
  const sendMessage = useCallback(
    async ({ action, data = {} }: ClientMessage): Promise<Data> => {
      if (connection === undefined) throw new RequestError("not_connected", "this page has no connection");
      return connection.ask(action, data);
    },
    [connection],
  );
  const connect = useCallback(() => connection?.connect(), [connection]);
  const disconnect = useCallback(() => connection?.disconnect(), [connection]);
  return {
    isConnected: state.status === "connected",
    connectionStatus: state.status,
    isEnabled,
    connectionType: config.connectionType,
    // What an earlier connection brought is not this one's.
    lastMessage: connection === undefined ? undefined : lastMessage,
    sendMessage,
    connect,
    disconnect,
    config,
  };
}

/** Calls `listener` with every message of a connection, in order. It must stay the same function. */
export function useMessages(connection: Connection | undefined, listener: (message: ServerMessage) => void): void {
  useEffect(
    () =>
      connection?.onFrame((frame) => {
        const message = adaptMessage(frame);
        if (message !== undefined) listener(message);
      }),
    [connection, listener],
  );
}
