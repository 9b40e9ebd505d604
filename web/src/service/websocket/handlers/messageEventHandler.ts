/** Passes each message to whoever handles its action; everything else is ignored. */

import { adaptMessage, type ServerAction, type ServerMessage } from "../adapters/messageAdapter";
import type { ServerFrame } from "../types";

export type MessageHandlers = {
  readonly [A in ServerAction]?: (message: Extract<ServerMessage, { action: A }>) => void;
};

/** A listener for `Connection.onFrame`. It answers the message that it understood, whether anybody handled it or not. */
export function messageEventHandler(handlers: MessageHandlers): (frame: ServerFrame) => ServerMessage | undefined {
  return (frame) => {
    const message = adaptMessage(frame);
    if (message === undefined) return undefined;
    // The table's type pairs each action with its own handler; the compiler cannot follow that through a lookup.
    const handle = handlers[message.action] as ((message: ServerMessage) => void) | undefined;
    handle?.(message);
    return message;
  };
}
