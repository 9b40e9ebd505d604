import { beforeEach, expect, it } from "vitest";
import { ManualClock, settle } from "../../../testing/socket";
import { MessageQueue, PENDING_MAX } from "./messageQueue";

let clock: ManualClock;
let queue: MessageQueue;
let sent: { action: string; ref?: number; data: Record<string, unknown> }[];
const writer = { frameBytesMax: 1_000, write: (text: string) => void sent.push(JSON.parse(text)) };

beforeEach(() => {
  clock = new ManualClock();
  queue = new MessageQueue(clock);
  sent = [];
});

it("gives each answer to the request with its ref", async () => {
  queue.attach(writer);
  const one = queue.ask("a", {});
  const two = queue.ask("b", {});
  queue.answer({ action: "ack", ref: sent[1]?.ref ?? 0, data: { n: 2 } });
  queue.answer({ action: "ack", ref: sent[0]?.ref ?? 0, data: { n: 1 } });
  expect([await one, await two]).toEqual([{ n: 1 }, { n: 2 }]);
  expect(clock.timers).toBe(0);
});

it("rejects with the server's code and the time to wait", async () => {
  queue.attach(writer);
  const asked = queue.ask("a", {});
  queue.answer({ action: "error", ref: 1, data: { code: "rate_limited", message: "slow down", retry_after_ms: 500 } });
  await expect(asked).rejects.toMatchObject({ code: "rate_limited", retryAfterMs: 500 });
});

it("rejects when no answer comes in time, and ignores the late one", async () => {
  queue.attach(writer);
  const asked = queue.ask("a", {}, { timeoutMs: 100 });
  const refused = expect(asked).rejects.toMatchObject({ code: "timeout" });
  await clock.pass(100);
  await refused;
  expect(queue.answer({ action: "ack", ref: 1, data: {} })).toBe(false);
});

it("refuses at once without a socket, unless it may wait", async () => {
  await expect(queue.ask("a", {})).rejects.toMatchObject({ code: "not_connected" });
  const waits = queue.ask("b", {}, { queue: true });
  queue.attach(writer);
  expect(sent.map((frame) => frame.action)).toEqual(["b"]);
  queue.answer({ action: "ack", ref: sent[0]?.ref ?? 0, data: {} });
  await waits;
});

it("fails what was sent when the socket goes, and keeps what still waits", async () => {
  queue.attach(writer);
  const lost = queue.ask("a", {});
  queue.detach();
  await expect(lost).rejects.toMatchObject({ code: "closed" });
  void queue.ask("b", {}, { queue: true });
  expect(queue.size).toBe(1);
});

it("is bounded", async () => {
  const waiting = Array.from({ length: PENDING_MAX }, () => queue.ask("a", {}, { queue: true }));
  const outcomes = Promise.allSettled(waiting);
  await expect(queue.ask("a", {}, { queue: true })).rejects.toMatchObject({ code: "queue_full" });
  queue.clear();
  expect((await outcomes).every((outcome) => outcome.status === "rejected")).toBe(true);
  await settle();
  expect(queue.size).toBe(0);
});

it("never sends a frame that would close the socket", async () => {
  queue.attach(writer);
  await expect(queue.ask("a", { text: "é".repeat(600) })).rejects.toMatchObject({ code: "frame_too_big" });
  expect(sent).toEqual([]);
});
