/** One conversation, or none, inside `ChatRoute`. */

import { useOutletContext } from "react-router";
import { PageLinks } from "../../components/shell/PageLinks";
import { PushSwitch } from "../../components/shell/PushSwitch";
import { WebSocketStatus } from "../../components/WebSocketStatus";
import type { PageConnection } from "../../hooks/usePageConnection";
import { useWebSocketOf } from "../../hooks/useWebSocketByPage";
import { useSignOut } from "../useSignOut";
import { ChatPage } from "./Chat";

export default function ChatPane() {
  const { isConnected, connectionStatus, isEnabled, connectionType, connect, disconnect } = useWebSocketOf(
    useOutletContext<PageConnection>(),
  );
  const status = { isConnected, connectionStatus, isEnabled, connectionType, connect, disconnect };
  return (
    <ChatPage
      status={<WebSocketStatus {...status} />}
      links={
        <>
          <PushSwitch />
          <PageLinks compact />
        </>
      }
      onSignOut={useSignOut()}
    />
  );
}
