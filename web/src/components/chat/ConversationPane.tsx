/** One conversation: its header, its messages, who is typing, and where one writes. */

import { Text } from "@mantine/core";
import { IconMessageOff } from "@tabler/icons-react";
import { useEffect, useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { useChat, useChatStore, useConversation, useTimeline } from "../../hooks/useChat";
import { type Drafts, useComposer } from "../../hooks/useComposer";
import { useMessageCommands } from "../../hooks/useMessageCommands";
import { usePageFeature } from "../../hooks/usePageConnection";
import type { AttachmentView, ConversationView, Me } from "../../service/chat/model";
import { MessageActionsContext } from "./actions";
import classes from "./Chat.module.css";
import { Composer } from "./Composer";
import { ConversationHeader } from "./ConversationHeader";
import { isStaff } from "./ConversationList";
import { Dropzone } from "./Dropzone";
import { Empty } from "./Empty";
import { clockTime } from "./format";
import { Lightbox } from "./Lightbox";
import { MessageList } from "./MessageList";
import { TakeButton } from "./QueueItem";
import { lastEditable } from "./rows";
import { typingLine } from "./summary";

interface Props {
  readonly id: string;
  readonly drafts: Drafts;
}

export function ConversationPane({ id, drafts }: Props) {
  const { t } = useTranslation("chat");
  const conversation = useConversation(id);
  const ready = useChat((snapshot) => snapshot.ready);
  if (conversation === undefined) {
    return ready ? (
      <Empty icon={IconMessageOff} title={t("not_found")} hint={t("not_found_hint")} />
    ) : (
      <MessageList conversation={UNKNOWN} timeline={undefined} jump={undefined} />
    );
  }
  return (
    <>
      <ConversationHeader conversation={conversation} />
      {conversation.member ? (
        <Conversation key={id} conversation={conversation} drafts={drafts} />
      ) : (
        <Waiting conversation={conversation} />
      )}
    </>
  );
}

/** Stands in for a conversation that has not come yet. */
const UNKNOWN: ConversationView = {
  id: "",
  title: "",
  people: [],
  unread: 0,
  at: 0,
  typing: [],
  muted: false,
  member: false,
};

function Conversation({ conversation, drafts }: { readonly conversation: ConversationView; readonly drafts: Drafts }) {
  const { id } = conversation;
  const store = useChatStore();
  const me = useChat((snapshot) => snapshot.me);
  const timeline = useTimeline(id);
  const composing = useComposer(id, drafts);
  const withMessaging = usePageFeature("messaging");
  const withFiles = usePageFeature("file_upload") && withMessaging;
  const field = useRef<HTMLTextAreaElement>(null);
  const [image, setImage] = useState<AttachmentView>();
  const { actions, jump } = useMessageCommands(id, composing, setImage);

  useEffect(() => {
    store.open(id);
    return () => store.close(id);
  }, [store, id]);

  // Whoever chooses what to answer or to correct wants to write next.
  const { target } = composing;
  useEffect(() => {
    if (target !== undefined) {
      field.current?.focus();
    }
  }, [target]);

  return (
    <MessageActionsContext value={actions}>
      <Dropzone
        className={classes.conversation ?? ""}
        onDrop={composing.addFiles}
        disabled={!withFiles || target?.kind === "edit"}
      >
        <MessageList conversation={conversation} timeline={timeline} jump={jump} />
        <Typing conversation={conversation} me={me} />
        {withMessaging && (
          <Composer
            composing={composing}
            withNotes={isStaff(me) && conversation.consult !== undefined}
            field={field}
            lastEditable={() => timeline && lastEditable(timeline.messages)}
          />
        )}
      </Dropzone>
      <Lightbox image={image} onClose={() => setImage(undefined)} />
    </MessageActionsContext>
  );
}

/** Its room is always there: the list would jump each time somebody begins to type. */
function Typing({ conversation, me }: { readonly conversation: ConversationView; readonly me: Me }) {
  const { t } = useTranslation("chat");
  const line = useMemo(() => typingLine(t, conversation, me.userId), [t, conversation, me.userId]);
  return (
    <Text className={classes.typing} size="xs" c="dimmed" aria-live="polite">
      {line && (
        <>
          <span className={classes.dots} aria-hidden>
            <i />
            <i />
            <i />
          </span>
          {line}
        </>
      )}
    </Text>
  );
}

/** Nothing that was said is seen before one has taken the consult. */
function Waiting({ conversation }: { readonly conversation: ConversationView }) {
  const { t, i18n } = useTranslation("chat");
  const { consult } = conversation;
  const since = consult && clockTime(consult.openedAt, i18n.language);
  return (
    <Empty
      icon={IconMessageOff}
      title={conversation.title}
      {...(since ? { hint: t("consult.waiting_since", { time: since }) } : {})}
    >
      {consult?.state === "waiting" && <TakeButton conversationId={conversation.id} long />}
    </Empty>
  );
}
