/** A connection of this browser: shared with its other tabs where the browser can, of this tab alone where it cannot. */

import { SocketConnection } from "../core/connection";
import { SharedConnection } from "../tabs";
import type { Connection, ConnectionOptions, TokenSource } from "../types";
import { browserEnvironment } from "./browser";
import { browserTabs } from "./browserTabs";

/** `shareAs` names what tabs share: user and connection type belong in it. It does not connect yet. */
export function browserConnection(tokens: TokenSource, options: ConnectionOptions, shareAs?: string): Connection {
  const environment = browserEnvironment();
  const tabs = shareAs === undefined ? undefined : browserTabs();
  if (tabs === undefined || shareAs === undefined) return new SocketConnection(environment, tokens, options);
  const { clock, visibility } = environment;
  const make: (everybody: typeof visibility) => Connection = (everybody) =>
    new SocketConnection({ ...environment, visibility: everybody }, tokens, options);
  return new SharedConnection({ name: shareAs, tabs, clock, visibility, make });
}
