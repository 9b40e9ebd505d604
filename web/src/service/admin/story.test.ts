import { describe, expect, it } from "vitest";
import { demoDelivery, demoId } from "../../testing/demoAdmin";
import { countStates, messageIdOf, storiesOf } from "./story";

const NOW = Date.parse("2026-01-05T10:00:00Z");

describe("a message's story", () => {
  const stories = storiesOf(demoDelivery(demoId(7), NOW));

  it("is told in the order of time, and what has no time comes last", () => {
    expect(stories[0]?.steps.map(({ kind, at }) => [kind, at])).toEqual([
      ["received", NOW - 59_900],
      ["received", NOW - 58_100],
      ["push_skipped", NOW - 57_000],
      ["read", undefined],
    ]);
  });

  it("says why there was no push", () => {
    expect(stories[0]?.steps.find(({ kind }) => kind === "push_skipped")?.reason).toBe("read");
  });

  it("tells of each device's push, with the push service's words where it refused", () => {
    expect(stories[1]?.steps.map(({ kind, deviceType, error }) => [kind, deviceType, error])).toEqual([
      ["failed", "tablet", "BadDeviceToken"],
      ["accepted", "mobile", undefined],
      ["push_sent", undefined, undefined],
      ["shown", "mobile", undefined],
    ]);
  });

  it("is empty for whom nothing has happened to yet", () => {
    expect(stories[2]).toEqual({ userId: "carol", state: "waiting", steps: [] });
  });

  it("says when a push that is held back is due", () => {
    const delivery = demoDelivery(demoId(7), NOW);
    const held = { state: "pending" as const, attempts: 0, held: true, due_at: "2026-01-06T07:00:00Z", devices: [] };
    const recipients = [
      { user_id: "x", state: "handed_over" as const, read: false, devices: [], push: { decision: held } },
    ];
    expect(storiesOf({ ...delivery, recipients })[0]?.steps).toMatchObject([
      { kind: "push_held", dueAt: Date.parse("2026-01-06T07:00:00Z") },
    ]);
  });

  it("is summed up by state", () => {
    expect([...countStates(stories)]).toEqual([
      ["read", 1],
      ["handed_over", 1],
      ["waiting", 1],
    ]);
  });
});

describe("a message id", () => {
  it("may be pasted with blanks and in capitals", () => {
    expect(messageIdOf(` ${demoId(7).toUpperCase()}\n`)).toBe(demoId(7));
  });

  it.each(["", "7", `${demoId(7)}0`, "../admin/stats"])("is not %j", (text) => {
    expect(messageIdOf(text)).toBeUndefined();
  });
});
