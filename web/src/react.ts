/** What `@natter/web/react` offers, by hand: the hook and the components, beside what `@natter/web` has. */

export { AppProviders } from "./app/AppProviders";
export { createTexts, type Language } from "./app/i18n";
export { Chat, type ChatProps } from "./components/chat/Chat";
export { WebSocketStatus, type WebSocketStatusProps } from "./components/WebSocketStatus";
export {
  hasFeature,
  PAGE_WEBSOCKET_CONFIG,
  type PageConfigs,
  type PageFeature,
  type PageWebSocketConfig,
  pageOf,
} from "./config/pages";
export { ChatContext, useChat, useChatStore, useConversation, useTimeline } from "./hooks/useChat";
export { NatterContext, type NatterServices, useMe, useNatter } from "./hooks/useNatter";
export {
  type PageConnection,
  type PageConnectionOptions,
  usePageConnection,
  usePageFeature,
} from "./hooks/usePageConnection";
export {
  type ClientMessage,
  useMessages,
  useWebSocketByPage,
  useWebSocketOf,
  type WebSocketByPage,
} from "./hooks/useWebSocketByPage";
