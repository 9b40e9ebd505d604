/** What can be done with a message; one stable object for all rows, so that none is rendered again because of it. */

import { createContext, useContext } from "react";
import type { AttachmentView, MessageView } from "../../service/chat/model";

export interface MessageActions {
  reply(message: MessageView): void;
  edit(message: MessageView): void;
  copy(message: MessageView): void;
  remove(message: MessageView): void;
  retry(message: MessageView): void;
  discard(message: MessageView): void;
  /** To the message that another one quotes. */
  jump(messageId: string): void;
  show(image: AttachmentView): void;
}

export const MessageActionsContext = createContext<MessageActions | null>(null);

export function useMessageActions(): MessageActions {
  const actions = useContext(MessageActionsContext);
  if (actions === null) {
    throw new Error("useMessageActions needs <MessageActionsContext> above it");
  }
  return actions;
}
