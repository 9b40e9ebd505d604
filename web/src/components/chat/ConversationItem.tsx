/** One line of the list: who, what was said last and when, and how much of it is unread. */

import { Badge, Text, VisuallyHidden } from "@mantine/core";
import { IconBellOff } from "@tabler/icons-react";
import { memo } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import type { ConversationView } from "../../service/chat/model";
import { ConsultBadge } from "./ConsultBadge";
import classes from "./ConversationList.module.css";
import { shortTime } from "./format";
import { PersonAvatar } from "./PersonAvatar";
import { ProgressMark } from "./ProgressMark";
import { lastLine, typingLine } from "./summary";

const UNREAD_SHOWN = 99;
const PAIR = 2;

interface Props {
  readonly conversation: ConversationView;
  readonly ownId: string;
  readonly open: boolean;
  readonly now: number;
}

export const ConversationItem = memo(function ConversationItem({ conversation, ownId, open, now }: Props) {
  const { t, i18n } = useTranslation("chat");
  const { id, title, people, unread, last, muted, consult } = conversation;
  const others = people.filter((person) => person.userId !== ownId);
  const other = people.length <= PAIR ? others[0] : undefined;
  const typing = typingLine(t, conversation, ownId);
  return (
    <li>
      <Link className={classes.item} to={`/chat/${encodeURIComponent(id)}`} aria-current={open ? "page" : undefined}>
        <PersonAvatar
          id={other?.userId ?? id}
          name={other?.name ?? title}
          online={other?.online}
          group={others.length > 1}
          size={44}
        />
        <span className={classes.lines}>
          <span className={classes.line}>
            <Text component="span" fw={unread > 0 ? 700 : 600} size="sm" truncate className={classes.grow}>
              {title}
            </Text>
            {muted && <IconBellOff size={14} aria-label={t("muted")} role="img" />}
            <Text component="time" size="xs" c="dimmed" className={classes.time}>
              {conversation.at > 0 && shortTime(conversation.at, now, i18n.language)}
            </Text>
          </span>
          <span className={classes.line}>
            {last?.mine && !last.deleted && typing === undefined && <ProgressMark progress={last.progress} />}
            <Text
              component="span"
              size="sm"
              truncate
              c={typing ? "var(--chat-name)" : "dimmed"}
              className={classes.grow}
            >
              {typing ?? lastLine(t, conversation)}
            </Text>
            {consult && consult.state !== "taken" && <ConsultBadge state={consult.state} />}
            {unread > 0 && (
              <>
                <Badge size="sm" circle={unread < 10} color={muted ? "gray.7" : "lagoon.7"} aria-hidden>
                  {unread > UNREAD_SHOWN ? `${UNREAD_SHOWN}+` : unread}
                </Badge>
                <VisuallyHidden component="span">{t("unread", { count: unread })}</VisuallyHidden>
              </>
            )}
          </span>
        </span>
      </Link>
    </li>
  );
});
