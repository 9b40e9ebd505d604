/** From what a page wants to send to an entry of the outbox, and from a sent entry to the message that it became. Pure. */

import type { Message } from "../generated/contracts";
import type { Me, Outgoing } from "./model";
import type { Sent } from "./outbox";
import type { OutboxEntry, OutboxFile } from "./outboxStorage";

/** Endings by which others know what a voice note is; recorders name only the type. */
const ENDINGS: Readonly<Record<string, string>> = { "audio/mp4": "m4a", "audio/ogg": "ogg", "audio/mpeg": "mp3" };

function fileOf(message: Outgoing): OutboxFile | undefined {
  if (message.voice !== undefined) {
    const { blob, durationMs } = message.voice;
    const ending = ENDINGS[blob.type.split(";")[0] ?? ""] ?? "webm";
    return { blob, name: `voice.${ending}`, durationMs };
  }
  return message.file === undefined ? undefined : { blob: message.file, name: message.file.name };
}

export function entryOf(
  userId: string,
  conversationId: string,
  id: string,
  at: number,
  message: Outgoing,
): OutboxEntry {
  const file = fileOf(message);
  const image = message.file?.type.startsWith("image/") === true;
  const text = message.text.trim();
  return {
    id,
    userId,
    conversationId,
    kind: message.voice !== undefined ? "voice" : file === undefined ? "text" : image ? "image" : "file",
    // A message must have a text: that of a bare file is its name.
    content: text === "" && file !== undefined ? file.name : text,
    at,
    important: message.important ?? false,
    internal: message.internal ?? false,
    ...(message.replyTo !== undefined && { replyTo: message.replyTo }),
    ...(message.mentions !== undefined && { mentions: message.mentions }),
    ...(file !== undefined && { file }),
  };
}

/** The message that the server made of it, until its echo comes: so that nothing flickers between ack and echo. */
export function messageOf(me: Me, entry: OutboxEntry, sent: Sent): Message {
  const { file, attachmentId } = entry;
  return {
    id: sent.messageId,
    conversation_id: sent.conversationId,
    seq: sent.seq,
    sender_id: me.userId,
    sender_type: "chat",
    sender_name: me.name,
    message_type: entry.kind,
    content: entry.content,
    is_important: entry.important,
    client_msg_id: entry.id,
    created_at: new Date(entry.at).toISOString(),
    ...(entry.replyTo !== undefined && { reply_to: entry.replyTo }),
    ...(file !== undefined &&
      attachmentId !== undefined && {
        attachment_id: attachmentId,
        attachment: {
          id: attachmentId,
          name: file.name,
          media_type: file.blob.type,
          size_bytes: file.blob.size,
          sha256: "",
          ...(file.durationMs !== undefined && { duration_ms: Math.round(file.durationMs) }),
        },
      }),
  };
}
