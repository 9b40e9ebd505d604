/** Frames that a developer writes by hand: a template of each kind, and what is wrong with one that cannot be sent. */

import { uuid7 } from "../../service/chat/ids";
import type {
  Activity,
  MarkRead,
  PresenceSubscribe,
  RefreshToken,
  SendMessage,
  Typing,
} from "../../service/generated/contracts";
import { byteLength, HEAD_BYTES, isRecord } from "../../service/websocket/core/serializer";

/** The client's frames of docs/socket.md. */
export const CLIENT_ACTIONS = [
  "ping",
  "send_message",
  "typing",
  "mark_read",
  "presence_subscribe",
  "activity",
  "refresh_token",
] as const;

export type ClientAction = (typeof CLIENT_ACTIONS)[number];

const CONVERSATION = "00000000-0000-7000-8000-000000000000";

/** The frame's JSON, to be changed: ids in it are examples. */
export function template(action: ClientAction, wallMs: number): string {
  return JSON.stringify({ action, data: exampleOf(action, wallMs) }, null, 2);
}

function exampleOf(action: ClientAction, wallMs: number): object {
  switch (action) {
    case "ping":
      return {};
    case "send_message":
      return {
        conversation_id: CONVERSATION,
        client_msg_id: uuid7(wallMs),
        content: "Hello",
        message_type: "text",
      } satisfies SendMessage;
    case "typing":
      return { conversation_id: CONVERSATION, is_typing: true } satisfies Typing;
    case "mark_read":
      return { conversation_id: CONVERSATION, seq: 1 } satisfies MarkRead;
    case "presence_subscribe":
      return { user_ids: [] } satisfies PresenceSubscribe;
    case "activity":
      return { active: true } satisfies Activity;
    case "refresh_token":
      return { token: "" } satisfies RefreshToken;
  }
}

/** Of the texts `send.problem.*`. */
export type FrameProblem = "no_json" | "no_object" | "no_action" | "no_data" | "has_ref" | "unknown_field" | "too_big";

export type Checked =
  | { readonly action: string; readonly data: Readonly<Record<string, unknown>> }
  | { readonly problem: FrameProblem; readonly detail: string };

/**
 * What to send, or why it is no frame. Only what would close the socket is refused: an action that the server does not
 * know, or data that it does not like, is worth trying.
 */
export function checkFrame(text: string, frameBytesMax: number): Checked {
  let frame: unknown;
  try {
    frame = JSON.parse(text);
  } catch (error) {
    return { problem: "no_json", detail: error instanceof Error ? error.message : "" };
  }
  if (!isRecord(frame)) return { problem: "no_object", detail: "" };
  const { action, data = {}, ...rest } = frame;
  if (typeof action !== "string" || action === "") return { problem: "no_action", detail: "" };
  if (!isRecord(data)) return { problem: "no_data", detail: "" };
  if ("ref" in rest) return { problem: "has_ref", detail: "" };
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined) return { problem: "unknown_field", detail: unknown };
  const bytes = byteLength(JSON.stringify(frame)) + HEAD_BYTES;
  if (bytes > frameBytesMax) return { problem: "too_big", detail: String(frameBytesMax) };
  return { action, data };
}
