/** The messages of one conversation: only what is seen is rendered, and the place is kept whatever comes. */

import { ActionIcon, Button, Loader, Skeleton, Stack, VisuallyHidden } from "@mantine/core";
import { IconChevronDown, IconMessageCircle } from "@tabler/icons-react";
import { useId, useLayoutEffect, useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { VList } from "virtua";
import { useChat } from "../../hooks/useChat";
import { useMessageKeys } from "../../hooks/useMessageKeys";
import { useMessageScroll } from "../../hooks/useMessageScroll";
import { useNow } from "../../hooks/useNow";
import type { ConversationView, PersonView, TimelineView } from "../../service/chat/model";
import { useMessageActions } from "./actions";
import { Empty } from "./Empty";
import { dayOf } from "./format";
import classes from "./MessageList.module.css";
import { MessageRow } from "./MessageRow";
import { keepSame, lastReads, prepended, type Row, rowsOf } from "./rows";

const NOBODY: readonly PersonView[] = [];
const NO_READS: ReturnType<typeof lastReads> = new Map();
const GROUP_FROM = 3;

interface Props {
  readonly conversation: ConversationView;
  readonly timeline: TimelineView | undefined;
  /** The message to be shown, and how often that was asked for. */
  readonly jump: { readonly key: string; readonly count: number } | undefined;
}

export function MessageList({ conversation, timeline, jump }: Props) {
  const { t } = useTranslation("chat");
  if (timeline === undefined) {
    return <Loading />;
  }
  if (timeline.messages.length === 0) {
    return <Empty icon={IconMessageCircle} title={t("no_messages")} hint={t("no_messages_hint")} />;
  }
  return <Messages conversation={conversation} timeline={timeline} jump={jump} />;
}

function Messages({ conversation, timeline, jump }: Props & { readonly timeline: TimelineView }) {
  const { t } = useTranslation("chat");
  const hint = useId();
  const ownId = useChat((snapshot) => snapshot.me.userId);
  const today = dayOf(useNow());
  const { rows, shift } = useRows(timeline);
  const scroll = useMessageScroll({ conversationId: conversation.id, rows, hasOlder: timeline.hasOlder });
  const keys = useMessageKeys(rows, scroll.list, useMessageActions());
  const reads = useMemo(
    // Between two people the mark of a message says it already.
    () =>
      conversation.people.length < GROUP_FROM ? NO_READS : lastReads(timeline.messages, conversation.people, ownId),
    [timeline.messages, conversation.people, ownId],
  );
  const flash = useJump(rows, jump, scroll.list);
  const active = rows.findIndex((row) => row.message.key === keys.activeKey);
  return (
    <div className={classes.frame}>
      <Older loading={timeline.loadingOlder} failed={scroll.olderFailed} again={() => void scroll.loadOlder()} />
      <VisuallyHidden id={hint}>{t("messages_hint")}</VisuallyHidden>
      <VList
        ref={scroll.list}
        className={classes.list}
        role="feed"
        aria-label={t("messages")}
        aria-describedby={hint}
        aria-busy={timeline.loadingOlder}
        data={rows}
        shift={shift}
        keepMounted={active === -1 ? [] : [active]}
        onScroll={scroll.onScroll}
        onResize={scroll.onResize}
        onKeyDown={keys.onKeyDown}
      >
        {(row) => (
          <MessageRow
            key={row.message.key}
            row={row}
            people={conversation.people}
            readers={reads.get(row.message.key) ?? NOBODY}
            title={conversation.title}
            today={today}
            group={conversation.people.length >= GROUP_FROM}
            active={row.message.key === keys.activeKey}
            focus={row.message.key === keys.activeKey ? keys.focus : undefined}
            flash={row.message.key === flash}
            menuOpened={row.message.key === keys.menuKey}
            onMenu={keys.onMenu}
          />
        )}
      </VList>
      {!scroll.atEnd && <ToEnd unseen={scroll.unseen} onClick={scroll.toEnd} />}
    </div>
  );
}

/** Rows that keep their identity, and whether some were put before the ones that were shown. */
function useRows(timeline: TimelineView): { rows: readonly Row[]; shift: boolean } {
  const shown = useRef<readonly Row[]>([]);
  const rows = useMemo(() => keepSame(shown.current, rowsOf(timeline)), [timeline]);
  const shift = prepended(shown.current, rows) > 0;
  useLayoutEffect(() => {
    shown.current = rows;
  }, [rows]);
  return { rows, shift };
}

/** Scrolls to a message when asked to, and says which one shines for a moment. */
function useJump(
  rows: readonly Row[],
  jump: Props["jump"],
  list: ReturnType<typeof useMessageScroll>["list"],
): string | undefined {
  const [flash, setFlash] = useState<string>();
  const done = useRef<Props["jump"]>(undefined);
  useLayoutEffect(() => {
    const index = rows.findIndex((row) => row.message.key === jump?.key);
    if (jump === undefined || done.current === jump || index === -1) {
      return;
    }
    done.current = jump;
    list.current?.scrollToIndex(index, { align: "center" });
    setFlash(jump.key);
  }, [rows, jump, list]);
  useLayoutEffect(() => {
    if (flash === undefined) {
      return;
    }
    const timer = setTimeout(() => setFlash(undefined), 1600);
    return () => clearTimeout(timer);
  }, [flash]);
  return flash;
}

function Older({ loading, failed, again }: { loading: boolean; failed: boolean; again: () => void }) {
  const { t } = useTranslation("chat");
  if (!loading && !failed) {
    return null;
  }
  return (
    <div className={classes.older} role="status">
      {loading ? (
        <Loader size="xs" aria-label={t("loading_older")} />
      ) : (
        <>
          {t("older_failed")}
          <Button size="compact-xs" variant="default" onClick={again}>
            {t("try_again")}
          </Button>
        </>
      )}
    </div>
  );
}

function ToEnd({ unseen, onClick }: { unseen: number; onClick: () => void }) {
  const { t } = useTranslation("chat");
  return (
    <div className={classes.toEnd}>
      {unseen > 0 ? (
        <Button size="sm" radius="xl" leftSection={<IconChevronDown size={16} aria-hidden />} onClick={onClick}>
          {t("new_messages", { count: unseen })}
        </Button>
      ) : (
        <ActionIcon variant="default" size="lg" radius="xl" onClick={onClick} aria-label={t("to_end")}>
          <IconChevronDown size={18} />
        </ActionIcon>
      )}
    </div>
  );
}

const SKELETONS: readonly [width: number, mine: boolean][] = [
  [220, false],
  [300, false],
  [180, true],
  [260, true],
  [340, false],
  [150, true],
];

function Loading() {
  const { t } = useTranslation("chat");
  return (
    <Stack className={classes.loading} role="status" aria-label={t("loading")}>
      {SKELETONS.map(([width, mine]) => (
        <Skeleton key={width} h={40} w={width} maw="75%" radius="lg" ml={mine ? "auto" : 0} />
      ))}
    </Stack>
  );
}
