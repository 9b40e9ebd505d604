/** Tells screen readers, and the page's title, that something came. */

import { VisuallyHidden } from "@mantine/core";
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { useChat } from "../../hooks/useChat";
import { summary } from "./summary";

export function LiveRegion() {
  const { t } = useTranslation("chat");
  const newest = useChat((snapshot) => snapshot.conversations[0]);
  const ready = useChat((snapshot) => snapshot.ready);
  const [text, setText] = useState("");
  const before = useRef<string | undefined>(undefined);
  const last = newest?.last;

  useEffect(() => {
    const fresh = before.current !== undefined && last !== undefined && last.key !== before.current;
    // What was there when the page came is not news.
    before.current = ready ? (last?.key ?? "") : undefined;
    if (fresh && newest && !last.mine && !last.deleted && !newest.muted) {
      setText(t("announce", { name: last.senderName, text: summary(t, last, newest.people) }));
    }
  }, [t, ready, newest, last]);

  return (
    <VisuallyHidden role="status" aria-live="polite">
      {text}
    </VisuallyHidden>
  );
}

/** "(3) Natter" in the tab, and the old title when the page is left. */
export function useUnreadTitle(): void {
  const { t } = useTranslation(["chat", "common"]);
  const unread = useChat((snapshot) =>
    snapshot.conversations.reduce((sum, conversation) => sum + (conversation.muted ? 0 : conversation.unread), 0),
  );
  useEffect(() => {
    const title = t("common:app");
    document.title = unread > 0 ? t("chat:unread_title", { count: unread, title }) : title;
    return () => {
      document.title = title;
    };
  }, [t, unread]);
}
