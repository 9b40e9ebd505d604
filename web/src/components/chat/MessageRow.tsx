/** One row of the message list: what stands above a message, the message, and who has read up to here. */

import { Tooltip, VisuallyHidden } from "@mantine/core";
import { memo, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { useChatStore } from "../../hooks/useChat";
import type { PersonView } from "../../service/chat/model";
import { Bubble } from "./Bubble";
import { clockTime, dayName } from "./format";
import classes from "./Message.module.css";
import { hasMenu, MessageMenu } from "./MessageMenu";
import { PersonAvatar } from "./PersonAvatar";
import type { Row } from "./rows";
import { noticeText, summary } from "./summary";

const READERS_SHOWN = 3;

interface Props {
  readonly row: Row;
  readonly people: readonly PersonView[];
  readonly readers: readonly PersonView[];
  readonly title: string;
  /** Whole days matter only, so that a minute does not render everything. */
  readonly today: number;
  readonly group: boolean;
  /** In the Tab order. */
  readonly active: boolean;
  /** Changes when the row is to take the focus. */
  readonly focus: number | undefined;
  readonly flash: boolean;
  readonly menuOpened: boolean;
  readonly onMenu: (key: string, opened: boolean) => void;
}

export const MessageRow = memo(function MessageRow(props: Props) {
  const { row, people, readers, title, today } = props;
  return (
    <div className={classes.row} data-first={row.first || undefined}>
      <Separators row={row} title={title} today={today} />
      {row.message.kind === "system" ? <Notice row={row} people={people} /> : <Message {...props} />}
      {readers.length > 0 && <Readers readers={readers} />}
    </div>
  );
});

function Separators({ row, title, today }: Pick<Props, "row" | "title" | "today">) {
  const { t, i18n } = useTranslation("chat");
  return (
    <>
      {row.start && <p className={classes.beginning}>{t("beginning", { title })}</p>}
      {row.day !== undefined && (
        <div className={classes.day}>
          <span>{dayName(row.day, today, i18n.language)}</span>
        </div>
      )}
      {row.unreadBegins && (
        <div className={classes.unread}>
          <span>{t("new_line")}</span>
        </div>
      )}
    </>
  );
}

function Notice({ row, people }: Pick<Props, "row" | "people">) {
  const { t, i18n } = useTranslation("chat");
  return (
    <article className={classes.notice} data-message={row.message.key}>
      {noticeText(t, row.message, people)}
      <time dateTime={new Date(row.message.at).toISOString()}> · {clockTime(row.message.at, i18n.language)}</time>
    </article>
  );
}

function Message({ row, people, group, active, focus, flash, menuOpened, onMenu }: Props) {
  const { t, i18n } = useTranslation("chat");
  const { message, first, last } = row;
  const [near, setNear] = useState(false);
  const element = useRef<HTMLElement>(null);
  useEffect(() => {
    if (focus !== undefined) {
      element.current?.focus({ preventScroll: true });
    }
  }, [focus]);

  const store = useChatStore();
  const { id, seq, conversationId } = message;
  // Once for a message, and again when the server has given it its place.
  useEffect(() => store.drawn({ id, seq, conversationId }), [store, id, seq, conversationId]);

  const withMenu = (near || menuOpened) && hasMenu(message);
  const who = message.mine ? t("you") : message.senderName;
  return (
    <article
      ref={element}
      className={classes.message}
      data-mine={message.mine || undefined}
      data-flash={flash || undefined}
      data-message={message.key}
      tabIndex={active ? 0 : -1}
      aria-label={`${who}, ${clockTime(message.at, i18n.language)}: ${summary(t, message, people)}`}
      onPointerEnter={() => setNear(true)}
      onPointerLeave={() => setNear(false)}
      onFocus={() => setNear(true)}
      onBlur={() => setNear(false)}
    >
      {group && !message.mine && (
        <span className={classes.avatar}>
          {last && <PersonAvatar id={message.senderId} name={message.senderName} size={28} />}
        </span>
      )}
      <Bubble message={message} people={people} first={first} last={last} withName={group && first && !message.mine} />
      <span className={classes.menu}>
        {withMenu && (
          <MessageMenu message={message} opened={menuOpened} onChange={(opened) => onMenu(message.key, opened)} />
        )}
      </span>
    </article>
  );
}

function Readers({ readers }: Pick<Props, "readers">) {
  const { t } = useTranslation("chat");
  const label = t("read_by", { names: readers.map((person) => person.name).join(", ") });
  return (
    <Tooltip label={label}>
      <div className={classes.readers}>
        <VisuallyHidden>{label}</VisuallyHidden>
        {readers.slice(0, READERS_SHOWN).map((person) => (
          <PersonAvatar key={person.userId} id={person.userId} name={person.name} size={16} />
        ))}
        {readers.length > READERS_SHOWN && <span aria-hidden>+{readers.length - READERS_SHOWN}</span>}
      </div>
    </Tooltip>
  );
}
