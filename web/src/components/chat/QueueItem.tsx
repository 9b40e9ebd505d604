/** A consult that waits, and the button that takes it. */

import { Button, Text } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, useNavigate } from "react-router";
import { useAction } from "../../hooks/useAction";
import { useChatStore } from "../../hooks/useChat";
import type { ConversationView } from "../../service/chat/model";
import { ConsultBadge } from "./ConsultBadge";
import classes from "./ConversationList.module.css";
import { clockTime } from "./format";
import { PersonAvatar } from "./PersonAvatar";

export function QueueItem({ conversation }: { readonly conversation: ConversationView }) {
  const { t, i18n } = useTranslation("chat");
  const { id, title, consult, people } = conversation;
  const waiting = consult?.state === "waiting";
  const customer = people[0];
  return (
    <li className={classes.queued}>
      <Link className={classes.item} to={`/chat/${encodeURIComponent(id)}`}>
        <PersonAvatar id={customer?.userId ?? id} name={customer?.name ?? title} online={customer?.online} size={44} />
        <span className={classes.lines}>
          <Text component="span" fw={600} size="sm" truncate>
            {title}
          </Text>
          <Text component="span" size="xs" c="dimmed">
            {consult && waiting && t("consult.waiting_since", { time: clockTime(consult.openedAt, i18n.language) })}
          </Text>
        </span>
        {consult && !waiting && <ConsultBadge state={consult.state} />}
      </Link>
      {waiting && <TakeButton conversationId={id} />}
    </li>
  );
}

/** Of several who press it at the same moment one gets the consult; the others are told. */
export function TakeButton({
  conversationId,
  long = false,
}: {
  readonly conversationId: string;
  readonly long?: boolean;
}) {
  const { t } = useTranslation("chat");
  const store = useChatStore();
  const run = useAction();
  const navigate = useNavigate();
  const [busy, setBusy] = useState(false);

  const take = async (): Promise<void> => {
    setBusy(true);
    if (await run(() => store.consult.take(conversationId))) {
      void navigate(`/chat/${encodeURIComponent(conversationId)}`);
    }
    setBusy(false);
  };

  return (
    <Button size={long ? "md" : "compact-sm"} loading={busy} onClick={() => void take()}>
      {t(long ? "consult.take_long" : "consult.take")}
    </Button>
  );
}
