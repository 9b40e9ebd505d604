/** All conversations, the one that moved last first; staff has the queue of consults beside them. */

import { Button, CloseButton, SegmentedControl, Skeleton, TextInput } from "@mantine/core";
import { IconHeartHandshake, IconMessages, IconSearch, IconSearchOff } from "@tabler/icons-react";
import { type KeyboardEvent, type ReactNode, useDeferredValue, useState } from "react";
import { useTranslation } from "react-i18next";
import { useChat } from "../../hooks/useChat";
import { useNow } from "../../hooks/useNow";
import type { ChatSnapshot, ConversationView, Me } from "../../service/chat/model";
import { AskForSomebody } from "./AskForSomebody";
import { ConversationItem } from "./ConversationItem";
import classes from "./ConversationList.module.css";
import { Empty } from "./Empty";
import { QueueItem } from "./QueueItem";

const SKELETONS = ["a", "b", "c", "d", "e", "f"];

type Tab = "chats" | "queue";

export function ConversationList({ openId }: { readonly openId: string | undefined }) {
  const { t } = useTranslation("chat");
  const me = useChat(ownUser);
  const queue = useChat(waitingQueue);
  const [tab, setTab] = useState<Tab>("chats");
  const [query, setQuery] = useState("");
  return (
    <>
      <div className={classes.tools}>
        {isStaff(me) && (
          <SegmentedControl<Tab>
            fullWidth
            value={tab}
            onChange={setTab}
            aria-label={t("conversations")}
            data={[
              { value: "chats", label: t("tab_chats") },
              { value: "queue", label: queue.length > 0 ? `${t("tab_queue")} · ${queue.length}` : t("tab_queue") },
            ]}
          />
        )}
        {tab === "chats" && <Search query={query} onChange={setQuery} />}
      </div>
      {tab === "queue" ? <Queue queue={queue} /> : <Chats openId={openId} query={query} ownId={me.userId} />}
      {isCustomer(me) && (
        <div className={classes.ask}>
          <AskForSomebody>
            {(open) => (
              <Button fullWidth leftSection={<IconHeartHandshake size={18} aria-hidden />} onClick={open}>
                {t("ask")}
              </Button>
            )}
          </AskForSomebody>
        </div>
      )}
    </>
  );
}

function Search({ query, onChange }: { readonly query: string; readonly onChange: (query: string) => void }) {
  const { t } = useTranslation("chat");
  return (
    <TextInput
      type="search"
      radius="xl"
      value={query}
      onChange={(event) => onChange(event.currentTarget.value)}
      onKeyDown={(event) => event.key === "Escape" && onChange("")}
      placeholder={t("search")}
      aria-label={t("search")}
      leftSection={<IconSearch size={16} aria-hidden />}
      rightSection={
        query !== "" && (
          <CloseButton size="sm" radius="xl" onClick={() => onChange("")} aria-label={t("close_search")} />
        )
      }
    />
  );
}

function Chats({ openId, query, ownId }: { openId: string | undefined; query: string; ownId: string }) {
  const { t } = useTranslation("chat");
  const now = useNow();
  const conversations = useChat((snapshot) => snapshot.conversations);
  const ready = useChat((snapshot) => snapshot.ready);
  const wanted = useDeferredValue(query.trim().toLocaleLowerCase());
  const found = wanted === "" ? conversations : conversations.filter((one) => matches(one, wanted));
  if (!ready && conversations.length === 0) {
    return <Loading />;
  }
  if (found.length === 0) {
    return wanted === "" ? (
      <Empty icon={IconMessages} title={t("no_conversations")} hint={t("no_conversations_hint")} />
    ) : (
      <Empty icon={IconSearchOff} title={t("nothing_found", { query: query.trim() })} />
    );
  }
  return (
    <Items label={t("conversations")}>
      {found.map((one) => (
        <ConversationItem key={one.id} conversation={one} ownId={ownId} open={one.id === openId} now={now} />
      ))}
    </Items>
  );
}

function Queue({ queue }: { readonly queue: readonly ConversationView[] }) {
  const { t } = useTranslation("chat");
  if (queue.length === 0) {
    return <Empty icon={IconHeartHandshake} title={t("queue_empty")} hint={t("queue_empty_hint")} />;
  }
  return (
    <Items label={t("tab_queue")}>
      {queue.map((one) => (
        <QueueItem key={one.id} conversation={one} />
      ))}
    </Items>
  );
}

/** Up and Down move between the items, besides the Tab key. */
function Items({ label, children }: { readonly label: string; readonly children: ReactNode }) {
  const onKeyDown = (event: KeyboardEvent<HTMLUListElement>): void => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (step === undefined) {
      return;
    }
    const items = [...event.currentTarget.querySelectorAll<HTMLElement>("a, button")];
    const at = items.findIndex((item) => item.matches(":focus"));
    event.preventDefault();
    items[at + step]?.focus();
  };
  return (
    <ul className={classes.items} aria-label={label} onKeyDown={onKeyDown}>
      {children}
    </ul>
  );
}

function Loading() {
  const { t } = useTranslation("chat");
  return (
    <div className={classes.items} role="status" aria-label={t("loading")}>
      {SKELETONS.map((key) => (
        <div key={key} className={classes.item}>
          <Skeleton circle h={44} w={44} />
          <span className={classes.lines}>
            <Skeleton h={12} w="55%" />
            <Skeleton h={11} w="85%" mt={9} />
          </span>
        </div>
      ))}
    </div>
  );
}

export function isStaff({ roles }: Me): boolean {
  return roles.includes("consultant") || roles.includes("doctor");
}

export function isCustomer({ roles }: Me): boolean {
  return roles.includes("customer");
}

function ownUser(snapshot: ChatSnapshot): Me {
  return snapshot.me;
}

function waitingQueue(snapshot: ChatSnapshot): readonly ConversationView[] {
  return snapshot.queue;
}

function matches(conversation: ConversationView, wanted: string): boolean {
  return [
    conversation.title,
    ...conversation.people.map((person) => person.name),
    conversation.last?.content ?? "",
  ].some((text) => text.toLocaleLowerCase().includes(wanted));
}
