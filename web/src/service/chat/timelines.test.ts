import { beforeEach, describe, expect, it } from "vitest";
import type { StreamEvent } from "./timeline";
import { type Step, Timelines } from "./timelines";

const C = "conversation:c";
let lines: Timelines;

const event = (
  seq: number,
  source: StreamEvent["source"] = "live",
  type = "message.created",
  data = {},
): StreamEvent => ({ stream: C, seq, type, data, source });
const shown = (steps: readonly Step[]) => steps.flatMap((step) => (step.type === "show" ? [step.event.seq] : []));
const kinds = (steps: readonly Step[]) => steps.map((step) => step.type);
const left = (seq: number, source: StreamEvent["source"] = "live") =>
  event(seq, source, "participant.left", { user_id: "me" });
const joined = (seq: number, source: StreamEvent["source"] = "live") =>
  event(seq, source, "participant.joined", { user_id: "me" });

function snapshot(lastSeq: number): Step[] {
  lines.beginSync();
  const page = {
    events: [],
    conversations: [{ id: "c", last_seq: lastSeq }],
    userSeq: 0,
    hasMore: false,
    reset: false,
  };
  return [...lines.syncPage(page), ...lines.endSync(true)];
}

beforeEach(() => {
  lines = new Timelines("me", { pendingMax: 5, repairMax: 50 });
});

describe("merging by stream and seq", () => {
  it("shows what follows, once, wherever it came from", () => {
    snapshot(3);
    expect(shown(lines.live(event(4)))).toEqual([4]);
    expect(shown(lines.live(event(4)))).toEqual([]);
    expect(shown(lines.live(event(3)))).toEqual([]);
    lines.beginSync();
    const page = { events: [event(4, "sync"), event(5, "sync")], hasMore: false, reset: false };
    expect(shown(lines.syncPage(page))).toEqual([5]);
  });

  it("shows nothing above a gap, asks for what is missing once, and goes on when it came", () => {
    snapshot(3);
    const first = lines.live(event(6));
    expect(first).toEqual([
      { type: "repair", repair: { stream: C, afterSeq: 3, untilSeq: 6, vouched: expect.any(Number) } },
    ]);
    expect(lines.live(event(7))).toEqual([]);
    expect(shown(lines.repaired([event(4, "repair"), event(5, "repair")]))).toEqual([4, 5, 6, 7]);
  });

  it("bounds what waits above a gap, and fetches the rest again", () => {
    snapshot(0);
    for (let seq = 2; seq <= 20; seq += 1) lines.live(event(seq));
    expect([...(lines.streams.get(C)?.pending.keys() ?? [])]).toEqual([2, 3, 4, 5, 6]);
    expect(shown(lines.repaired([event(1, "repair")]))).toEqual([1, 2, 3, 4, 5, 6]);
    expect(lines.streams.get(C)?.gapped).toBe(true);
  });

  it("asks for no repair while a sync runs, and for what is left after it", () => {
    snapshot(3);
    lines.beginSync();
    expect(lines.live(event(6))).toEqual([]);
    expect(kinds(lines.endSync(true))).toEqual(["repair"]);
  });

  it("finds the loss behind a frame of an action that nobody knows", () => {
    snapshot(3);
    expect(kinds(lines.hint(C, 4))).toEqual(["repair"]);
  });
});

describe("memberships", () => {
  it("holds frames of a stream that nobody explained, and asks for a sync", () => {
    expect(kinds(lines.live(event(8)))).toEqual(["need_sync"]);
    lines.live(event(9));
    expect(shown(snapshot(9))).toEqual([8, 9]);
  });

  it("begins at its own seq", () => {
    expect(shown(lines.live(event(5)))).toEqual([]);
    expect(shown(lines.live(joined(4)))).toEqual([4, 5]);
  });

  it("shows nothing after the user left, until the next one begins", () => {
    snapshot(3);
    expect(shown(lines.live(left(4)))).toEqual([4]);
    expect(shown(lines.live(event(5)))).toEqual([]);
    expect(shown(lines.live(joined(7)))).toEqual([7]);
    expect(shown(lines.live(event(8)))).toEqual([8]);
  });

  it("ends where the user's own stream says so, for a device that was away", () => {
    snapshot(3);
    lines.beginSync();
    const data = { conversation_id: "c", at_seq: 9 };
    const own: StreamEvent = { stream: "user:me", seq: 1, type: "user.conversation_left", data, source: "sync" };
    lines.syncPage({ events: [own], hasMore: false, reset: false });
    lines.endSync(true);
    expect(lines.streams.get(C)?.standing).toBe("left");
  });

  it("believes a refusal, unless a sync has said otherwise since it was asked for", () => {
    snapshot(3);
    const [step] = lines.live(event(6));
    if (step?.type !== "repair") throw new Error("a repair was expected");
    lines.beginSync();
    lines.syncPage({ events: [event(4, "sync")], hasMore: false, reset: false });
    lines.endSync(true);
    lines.repairRefused(step.repair, 6);
    expect(lines.streams.get(C)?.standing).toBe("open");
    const again = lines.live(event(9));
    expect(again).toEqual([]);
  });

  it("ends when a snapshot no longer names the conversation", () => {
    snapshot(3);
    lines.beginSync();
    lines.syncPage({ events: [], conversations: [], userSeq: 0, hasMore: false, reset: true });
    lines.endSync(true);
    expect(lines.streams.get(C)?.standing).toBe("unreachable");
  });
});

describe("a hole that is too large", () => {
  it("is not filled: the timeline begins anew, and that is said", () => {
    snapshot(3);
    const steps = snapshot(500);
    expect(steps).toContainEqual({ type: "rebased", stream: C, fromSeq: 3, toSeq: 500 });
    expect(shown(lines.live(event(501)))).toEqual([501]);
  });
});

describe("any order", () => {
  it("shows all events once and in order, however frames are lost, repeated and shuffled", () => {
    let seed = 7;
    const random = () => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return seed / 2_147_483_648;
    };
    for (let round = 0; round < 200; round += 1) {
      lines = new Timelines("me", { pendingMax: 5 });
      snapshot(0);
      const seen: number[] = [];
      const frames = Array.from({ length: 20 }, (_, i) => i + 1).filter(() => random() > 0.3);
      const shuffled = [...frames, ...frames].sort(() => random() - 0.5);
      for (const seq of shuffled) {
        seen.push(...shown(lines.live(event(seq))));
        if (random() > 0.8) {
          const from = lines.streams.get(C)?.head ?? 0;
          seen.push(...shown(lines.repaired([event(from + 1, "repair")].filter(({ seq: next }) => next <= 20))));
        }
      }
      lines.beginSync();
      const rest = Array.from({ length: 20 }, (_, i) => event(i + 1, "sync"));
      seen.push(...shown(lines.syncPage({ events: rest, hasMore: false, reset: false })));
      expect(seen).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    }
  });
});
