/** What `@natter/web` offers, by hand. The core alone is `@natter/web/core`; with React, `@natter/web/react`. */

export { AuthService, browserAuth, LoginFailed } from "./service/authService";
export { Api, ApiError, mayRetry } from "./service/chat/api";
export { type BrowserChatOptions, browserChat } from "./service/chat/browser";
export type {
  AttachmentView,
  ChatSnapshot,
  ChatStore,
  ConsultView,
  ConversationView,
  Me,
  MessageView,
  Outgoing,
  PersonView,
  Role,
  TimelineView,
} from "./service/chat/model";
export { type ChatDeps, type ChatSession, createChatStore } from "./service/chat/state";
export { deviceId, deviceType, thisDevice } from "./service/device";
export { consoleLog, type Fields, type Log, type Stage, silentLog } from "./service/log";
export { createNatter, type Natter, type NatterOptions } from "./service/natter";
export * from "./service/websocket";
