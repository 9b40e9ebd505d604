/** /chat and /chat/:id. */

import { useParams } from "react-router";
import { Chat, type ChatProps } from "../../components/chat/Chat";

/** Needs a `<ChatContext>` above it; the socket's status and signing out are the caller's. */
export function ChatPage(props: Omit<ChatProps, "conversationId">) {
  const { id } = useParams();
  return <Chat {...props} conversationId={id} />;
}

export default ChatPage;
