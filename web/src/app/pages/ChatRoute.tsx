/** Around /chat and /chat/:id: one connection and one store for all conversations, as long as the page is shown. */

import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { Outlet, useLocation } from "react-router";
import { Loading } from "../../components/shell/Loading";
import { ChatContext } from "../../hooks/useChat";
import { useMe } from "../../hooks/useNatter";
import { type PageConnection, usePageConnection } from "../../hooks/usePageConnection";
import { browserChat } from "../../service/chat/browser";
import type { ChatSession } from "../../service/chat/state";
import type { Natter } from "../../service/natter";
import type { Connection } from "../../service/websocket/types";
import { useServices } from "../services";

export default function ChatRoute() {
  const { natter } = useServices();
  const page = usePageConnection(useLocation().pathname);
  const store = useChatSession(natter, page.connection);
  if (store === undefined) return <Loading />;
  return (
    <ChatContext value={store}>
      <Outlet context={page satisfies PageConnection} />
    </ChatContext>
  );
}

/** Runs a store for as long as there is a connection and somebody is signed in. An error becomes the page's. */
function useChatSession(natter: Natter, connection: Connection | undefined): ChatSession | undefined {
  const { t } = useTranslation("app");
  const me = useMe();
  const [session, setSession] = useState<ChatSession>();
  const [failure, setFailure] = useState<unknown>();
  useEffect(() => {
    if (connection === undefined || me === undefined) return;
    const { apiUrl, auth, log } = natter;
    let running: ChatSession | undefined;
    let gone = false;
    browserChat({ me, apiUrl, auth, connection, log }).then(
      (made) => {
        running = made;
        // The page may be gone before its database was open.
        if (gone) made.stop();
        else {
          made.run();
          setSession(made);
        }
      },
      (error: unknown) => !gone && setFailure(error),
    );
    return () => {
      gone = true;
      running?.stop();
      setSession(undefined);
    };
  }, [natter, connection, me]);
  if (failure !== undefined) throw new Error(t("not_opened"), { cause: failure });
  return session;
}
