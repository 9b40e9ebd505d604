/** What one message shows: quote, attachment, text, and below it when, and how far it got. */

import { Button, Group, Text, UnstyledButton } from "@mantine/core";
import { IconFlag3Filled, IconLock } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import type { MessageView, PersonView } from "../../service/chat/model";
import { useMessageActions } from "./actions";
import { FileAttachment, UploadProgress } from "./FileAttachment";
import { clockTime, fullTime } from "./format";
import { ImageAttachment } from "./ImageAttachment";
import classes from "./Message.module.css";
import { MessageText } from "./MessageText";
import { ProgressMark } from "./ProgressMark";
import { VoiceAttachment } from "./VoiceAttachment";

interface Props {
  readonly message: MessageView;
  readonly people: readonly PersonView[];
  readonly first: boolean;
  readonly last: boolean;
  readonly withName: boolean;
}

export function Bubble({ message, people, first, last, withName }: Props) {
  const { t } = useTranslation("chat");
  return (
    <div
      className={classes.bubble}
      data-mine={message.mine || undefined}
      data-internal={message.internal || undefined}
      data-important={message.important || undefined}
      data-deleted={message.deleted || undefined}
      data-first={first || undefined}
      data-last={last || undefined}
    >
      {withName && (
        <Text className={classes.name} size="xs" fw={650}>
          {message.senderName}
        </Text>
      )}
      <Marks message={message} />
      {message.replyTo && !message.deleted && <Quote reply={message.replyTo} people={people} />}
      {message.attachment && !message.deleted && <Attachment message={message} />}
      <div className={classes.body}>
        <span className={classes.text} dir="auto">
          {message.deleted ? t("deleted") : <MessageText text={message.content} />}
        </span>
        <Meta message={message} />
      </div>
      {message.progress === "failed" && <Failure message={message} />}
    </div>
  );
}

function Marks({ message }: { readonly message: MessageView }) {
  const { t } = useTranslation("chat");
  return (
    <>
      {message.internal && (
        <span className={classes.mark} title={t("internal_hint")}>
          <IconLock size={13} aria-hidden /> {t("internal")}
        </span>
      )}
      {message.important && !message.deleted && (
        <span className={classes.mark} data-important>
          <IconFlag3Filled size={13} aria-hidden /> {t("important")}
        </span>
      )}
    </>
  );
}

function Meta({ message }: { readonly message: MessageView }) {
  const { t, i18n } = useTranslation("chat");
  return (
    <span className={classes.meta}>
      {message.edited && !message.deleted && <span>{t("edited")}</span>}
      <time dateTime={new Date(message.at).toISOString()} title={fullTime(message.at, i18n.language)}>
        {clockTime(message.at, i18n.language)}
      </time>
      {message.mine && !message.deleted && <ProgressMark progress={message.progress} />}
    </span>
  );
}

function Quote({
  reply,
  people,
}: {
  readonly reply: NonNullable<MessageView["replyTo"]>;
  readonly people: Props["people"];
}) {
  const { t } = useTranslation("chat");
  const { jump } = useMessageActions();
  const name = people.find((person) => person.userId === reply.senderId)?.name ?? reply.senderId;
  const text = reply.content === "" ? t("deleted") : reply.content;
  return (
    <UnstyledButton
      className={classes.quote}
      onClick={() => jump(reply.messageId)}
      aria-label={t("go_to_quoted", { text })}
    >
      <Text component="span" size="xs" fw={650} truncate>
        {name}
      </Text>
      <Text component="span" size="xs" lineClamp={2}>
        {text}
      </Text>
    </UnstyledButton>
  );
}

function Attachment({ message }: { readonly message: MessageView }) {
  const { attachment, kind, upload } = message;
  if (attachment === undefined) {
    return null;
  }
  return (
    <div className={classes.attachment}>
      {kind === "image" && <ImageAttachment image={attachment} />}
      {kind === "voice" && <VoiceAttachment voice={attachment} />}
      {(kind === "file" || kind === "text") && <FileAttachment file={attachment} />}
      {upload !== undefined && message.progress === "sending" && (
        <UploadProgress name={attachment.name} share={upload} />
      )}
    </div>
  );
}

function Failure({ message }: { readonly message: MessageView }) {
  const { t } = useTranslation("chat");
  const { retry, discard } = useMessageActions();
  return (
    <div className={classes.failure}>
      <Text size="xs" c="error">
        {message.failure ? t("failed_because", { why: message.failure }) : t("progress.failed")}
      </Text>
      <Group gap={6} justify="flex-end">
        <Button size="compact-xs" variant="default" onClick={() => discard(message)}>
          {t("discard")}
        </Button>
        <Button size="compact-xs" onClick={() => retry(message)}>
          {t("retry")}
        </Button>
      </Group>
    </div>
  );
}
