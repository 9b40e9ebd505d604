import { expect, it, vi } from "vitest";
import { messageEventHandler } from "./messageEventHandler";

const message = {
  id: "m1",
  conversation_id: "c1",
  seq: 3,
  sender_id: "ben",
  message_type: "text",
  content: "Hello",
  created_at: "2026-01-31T08:15:30.123Z",
};

it("gives a message to the handler of its action, with its place", () => {
  const seen = vi.fn();
  messageEventHandler({ new_message: seen })({
    action: "new_message",
    data: message,
    stream: "conversation:c1",
    seq: 3,
  });
  expect(seen).toHaveBeenCalledWith({ action: "new_message", data: message, stream: "conversation:c1", seq: 3 });
});

it("ignores actions that nobody knows, also those that every object has", () => {
  const handle = messageEventHandler({});
  expect(handle({ action: "of_the_future", data: {} })).toBeUndefined();
  expect(handle({ action: "constructor", data: {} })).toBeUndefined();
});

it("takes a message without what makes it one for nothing", () => {
  const seen = vi.fn();
  const handle = messageEventHandler({ new_message: seen });
  for (const name of Object.keys(message)) handle({ action: "new_message", data: { ...message, [name]: undefined } });
  expect(seen).not.toHaveBeenCalled();
});
