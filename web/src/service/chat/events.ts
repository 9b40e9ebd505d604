/** A durable frame, or an entry of a sync or repair, as an event of a stream. Pure. */

import { isRecord } from "../websocket/core/serializer";
import type { ServerFrame } from "../websocket/types";
import type { Source, StreamEvent } from "./timeline";

const EVENT_OF_ACTION: Readonly<Record<string, string>> = {
  new_message: "message.created",
  // A message that is a notice has an action of its own; in the conversation's order it is a message like every other.
  system_notification: "message.created",
  message_updated: "message.edited",
  message_deleted: "message.deleted",
  conversation_updated: "conversation.updated",
  participant_joined: "participant.joined",
  participant_left: "participant.left",
  read: "user.read_advanced",
  direct_message: "user.notified",
  consult_updated: "consult.updated",
};

/** The event that a durable frame tells of; undefined if this version does not know what the action means. */
export function eventOfFrame(frame: ServerFrame): StreamEvent | undefined {
  const { stream, seq, data } = frame;
  if (stream === undefined || seq === undefined || !Object.hasOwn(EVENT_OF_ACTION, frame.action)) return undefined;
  const type = EVENT_OF_ACTION[frame.action] ?? "";
  const event = (named: string, inside: StreamEvent["data"]): StreamEvent => ({
    stream,
    seq,
    type: named,
    data: inside,
    source: "live",
  });
  switch (frame.action) {
    case "conversation_updated":
      // Two events are one action to a device; only an opening says who takes part.
      return event("participant_ids" in data ? "conversation.created" : type, data);
    case "consult_updated":
      // All steps of a consult are one action; which one it was stands beside the event's own data.
      return event(typeof data.event === "string" ? data.event : type, data);
    case "direct_message":
      // The frame is the notification alone; as an event it has it inside.
      return event(type, { notification: data });
    default:
      return event(type, data);
  }
}

/** The events of a page; what is none is left out, and found missing by its seq. */
export function eventsOfPage(envelopes: readonly unknown[], source: Source): StreamEvent[] {
  return envelopes.flatMap((envelope) => {
    if (!isRecord(envelope)) return [];
    const { subject, seq, type, data } = envelope;
    if (typeof subject !== "string" || typeof type !== "string" || typeof seq !== "number" || !isRecord(data))
      return [];
    return [{ stream: subject, seq, type, data, source }];
  });
}
