/** One line of text for a message of any kind: in the list of conversations, in quotes, for screen readers. */

import type { TFunction } from "i18next";
import type { ConversationView, MessageView, PersonView } from "../../service/chat/model";
import { duration } from "./format";

export type ChatTexts = TFunction<"chat">;

const NAMES_MAX = 2;

/** What a message says, or what it is. */
export function summary(t: ChatTexts, message: MessageView, people: readonly PersonView[]): string {
  if (message.deleted) {
    return t("deleted");
  }
  if (message.kind === "system") {
    return noticeText(t, message, people);
  }
  if (message.kind === "voice") {
    const length = message.attachment?.durationMs;
    return length === undefined ? t("kind.voice") : t("voice_length", { time: duration(length) });
  }
  if (message.content !== "" || message.kind === "text") {
    return message.content;
  }
  return message.kind === "file" && message.attachment ? message.attachment.name : t(`kind.${message.kind}`);
}

/** What the system says, in the reader's language where the code is known; else the server's own words. */
export function noticeText(t: ChatTexts, { notice, content }: MessageView, people: readonly PersonView[]): string {
  const userId = notice?.parameters.consultant_id ?? notice?.parameters.user_id;
  const name = people.find((person) => person.userId === userId)?.name ?? notice?.parameters.name;
  switch (notice?.code) {
    case "consult_taken":
    case "consult_assigned":
    case "participant_joined":
    case "participant_left":
      return name === undefined ? content : t(`notice.${notice.code}`, { name });
    case "consult_handed_over":
      return name === undefined ? t("notice.consult_handed_over") : t("notice.consult_handed_over_to", { name });
    case "consult_opened":
    case "consult_closed":
      return t(`notice.${notice.code}`);
    default:
      return content;
  }
}

/** The line below a conversation's title in the list. */
export function lastLine(t: ChatTexts, { last, people }: ConversationView): string {
  if (last === undefined) {
    return t("no_messages");
  }
  const text = summary(t, last, people);
  if (last.kind === "system") {
    return text;
  }
  if (last.mine) {
    return t("you_wrote", { text });
  }
  return people.length > 2 ? t("somebody_wrote", { name: last.senderName, text }) : text;
}

/** "Anna is typing…"; undefined if nobody is. */
export function typingLine(t: ChatTexts, { typing, people }: ConversationView, ownId: string): string | undefined {
  const names = typing
    .filter((userId) => userId !== ownId)
    .map((userId) => people.find((person) => person.userId === userId)?.name ?? userId);
  if (names.length === 0) {
    return undefined;
  }
  return names.length > NAMES_MAX ? t("typing_many") : t("typing", { count: names.length, names: names.join(", ") });
}
