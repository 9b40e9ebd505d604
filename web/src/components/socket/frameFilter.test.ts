import { expect, it } from "vitest";
import type { RecordedFrame } from "../../service/websocket/recorder";
import { actionsOf, asText, EVERYTHING, filtered } from "./frameFilter";

const AT = Date.UTC(2026, 10, 23, 9, 5, 6, 7);
const frame = (
  id: number,
  direction: "in" | "out",
  action: string,
  text = `{"action":"${action}"}`,
): RecordedFrame => ({
  id,
  direction,
  action,
  text,
  at: AT,
});
const FRAMES = [
  frame(1, "in", "connected"),
  frame(2, "out", "ping"),
  frame(3, "in", "pong"),
  frame(4, "out", "send_message", '{"action":"send_message","data":{"content":"Hello"}}'),
  frame(5, "in", "ack"),
];
const ids = (filter: Partial<typeof EVERYTHING>) => filtered(FRAMES, { ...EVERYTHING, ...filter }).map(({ id }) => id);

it("shows every frame until somebody filters", () => expect(ids({})).toEqual([1, 2, 3, 4, 5]));

it("filters by direction, by kind, and by text whatever its case", () => {
  expect(ids({ direction: "out" })).toEqual([2, 4]);
  expect(ids({ action: "ack" })).toEqual([5]);
  expect(ids({ text: " hELLo " })).toEqual([4]);
  expect(ids({ direction: "in", text: "send_message" })).toEqual([]);
});

it("leaves heartbeats out, unless they are what was asked for", () => {
  expect(ids({ pings: false })).toEqual([1, 4, 5]);
  expect(ids({ pings: false, action: "pong" })).toEqual([3]);
});

it("names each kind once", () => {
  expect(actionsOf([...FRAMES, frame(6, "in", "ack")])).toEqual(["ack", "connected", "ping", "pong", "send_message"]);
});

it("copies a line for each frame, with time and direction", () => {
  expect(asText(FRAMES.slice(0, 2))).toBe(
    '2026-11-23T09:05:06.007Z <- {"action":"connected"}\n2026-11-23T09:05:06.007Z -> {"action":"ping"}',
  );
});
