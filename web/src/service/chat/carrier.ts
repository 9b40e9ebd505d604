/** The way of one message to the server: its file first, then the message, over the socket or over HTTP. */

import type { Log } from "../log";
import type { Connection } from "../websocket/types";
import type { Api } from "./api";
import type { Carry, Sent } from "./outbox";
import type { OutboxEntry } from "./outboxStorage";
import type { Uploads } from "./uploads";

export interface CarrierDeps {
  readonly api: Api;
  readonly connection: Connection;
  readonly uploads: Uploads;
  readonly log: Log;
  readonly onProgress: (entry: OutboxEntry, part: number) => void;
}

/** How long one attempt over the socket waits for its acknowledgement before the other way is tried. */
const ATTEMPT_MS = 5_000;

export function carrier(deps: CarrierDeps): Carry {
  return async (entry, bySocket, update) => {
    if (entry.internal) return note(deps.api, entry);
    let { attachmentId } = entry;
    if (entry.file !== undefined && attachmentId === undefined) {
      deps.log("upload", { event: "begun", client_msg_id: entry.id, bytes: entry.file.blob.size });
      const attachment = await deps.uploads.upload(entry.id, entry.file, (part) => deps.onProgress(entry, part));
      attachmentId = attachment.id;
      deps.log("upload", { event: "done", client_msg_id: entry.id, attachment: attachmentId });
      await update({ attachmentId });
    }
    const draft = draftOf(entry, attachmentId);
    if (bySocket && deps.connection.state.welcome !== undefined) {
      const data = { conversation_id: entry.conversationId, ...draft };
      return sentOf(await deps.connection.ask("send_message", data, { timeoutMs: ATTEMPT_MS }));
    }
    const params = { path: { conversation_id: entry.conversationId } };
    return sentOf(
      await deps.api.call((client) =>
        client.POST("/v1/conversations/{conversation_id}/messages", { params, body: draft }),
      ),
    );
  };
}

function draftOf(entry: OutboxEntry, attachmentId: string | undefined) {
  return {
    client_msg_id: entry.id,
    message_type: entry.kind,
    content: entry.content,
    is_important: entry.important,
    ...(attachmentId !== undefined && { attachment_id: attachmentId }),
    ...(entry.replyTo !== undefined && { reply_to: entry.replyTo }),
    ...(entry.mentions !== undefined && { mentions: [...entry.mentions] }),
  };
}

/** A note is text: it has no file, answers nothing and is not important, because the server's notes have none of it. */
async function note(api: Api, entry: OutboxEntry): Promise<Sent> {
  const params = { path: { conversation_id: entry.conversationId } };
  const body = { client_msg_id: entry.id, content: entry.content };
  return sentOf(await api.call((client) => client.POST("/v1/conversations/{conversation_id}/notes", { params, body })));
}

/** An ack and a message name the same things, one of them differently. */
function sentOf(told: { readonly [name: string]: unknown }): Sent {
  const messageId = told.message_id ?? told.id;
  const { seq, conversation_id: conversationId } = told;
  if (typeof messageId !== "string" || typeof seq !== "number" || typeof conversationId !== "string") {
    throw new Error("an answer that this version does not know");
  }
  return { messageId, seq, conversationId };
}
