/** The client core: one connection, alone or shared by several tabs. Needs no React; of the browser only its adapter. */

export { browserEnvironment } from "./adapters/browser";
export { browserConnection } from "./adapters/browserConnection";
export { browserTabs } from "./adapters/browserTabs";
export { adaptMessage, type ServerAction, type ServerMessage } from "./adapters/messageAdapter";
export { SocketConnection } from "./core/connection";
export { RequestError, SignedOut } from "./core/errors";
export { type MessageHandlers, messageEventHandler } from "./handlers/messageEventHandler";
export { SharedConnection, type SharedOptions, type TabChannel, type Tabs } from "./tabs";
export type {
  AskOptions,
  Cancel,
  Clock,
  Connection,
  ConnectionOptions,
  ConnectionSettings,
  ConnectionState,
  ConnectionStatus,
  ConnectionType,
  DeviceType,
  Environment,
  Failure,
  Network,
  RawFrame,
  ServerFrame,
  TokenSource,
  Transport,
  Visibility,
  Welcome,
} from "./types";
export { DEFAULT_SETTINGS } from "./types";
