import { describe, expect, it } from "vitest";
import { demoStats } from "../../testing/demoAdmin";
import { edgesOf, NO_STATS, readStats, type StatsWindow, sharesOf, WINDOW_MS, withStats } from "./stats";

const START = Date.parse("2026-01-05T10:00:00Z");

function filled(ms: number, every = 2_000): StatsWindow {
  let window = NO_STATS;
  for (let at = 0; at <= ms; at += every) window = withStats(window, demoStats(START + at));
  return window;
}

describe("the window of live figures", () => {
  it("holds five minutes and not more, however long the page is open", () => {
    const { samples } = filled(4 * WINDOW_MS);
    expect(samples).toHaveLength(WINDOW_MS / 2_000 + 1);
    expect(samples.at(-1)?.at).toBe(START + 4 * WINDOW_MS);
  });

  it("is bounded in number, too, if figures come much faster than they should", () => {
    expect(filled(100_000, 100).samples).toHaveLength(400);
  });

  it("stays the same when an older or the same answer comes late", () => {
    const window = filled(10_000);
    expect(withStats(window, demoStats(START + 10_000))).toBe(window);
    expect(withStats(window, demoStats(START))).toBe(window);
  });

  it("has a hole where none came, so that a chart does not invent a line", () => {
    const window = withStats(filled(4_000), demoStats(START + 60_000));
    expect(window.samples.map(({ at, messages }) => [at - START, messages === null])).toEqual([
      [0, false],
      [2_000, false],
      [4_000, false],
      [4_001, true],
      [60_000, false],
    ]);
  });

  it("knows no latency where nothing was delivered, rather than zero", () => {
    const window = withStats(NO_STATS, demoStats(START, { delivery_p50_ms: null, delivery_p99_ms: null }));
    expect(window.samples[0]).toMatchObject({ p50: null, p99: null });
  });
});

describe("a stats frame", () => {
  it("is taken as it is if it has all that the page shows", () => {
    const stats = demoStats(START);
    expect(readStats({ ...stats })).toEqual(stats);
  });

  it.each([
    ["no time", { at: "soon" }],
    ["a figure that is text", { connections: "12" }],
    ["no split by device", { by_device: null }],
  ])("is nothing with %s", (_what, changed) => {
    expect(readStats({ ...demoStats(START), ...changed })).toBeUndefined();
  });
});

describe("edges", () => {
  it("come by name, and one that was not heard for five seconds is late", () => {
    const edges = edgesOf(demoStats(START));
    expect(edges.map(({ id, lagMs, late }) => [id, lagMs, late])).toEqual([
      ["edge-1", 900, false],
      ["edge-2", 6_200, true],
    ]);
  });

  it("whose clock is ahead have no negative lag", () => {
    const [edge] = demoStats(START + 5_000).edges ?? [];
    const stats = demoStats(START, { edges: edge === undefined ? [] : [edge] });
    expect(edgesOf(stats)[0]?.lagMs).toBe(0);
  });
});

describe("shares", () => {
  it("name what is known even at zero, and whatever else the server counts", () => {
    expect(sharesOf({ desktop: 3, watch: 1 }, ["mobile", "desktop"])).toEqual([
      { name: "mobile", count: 0, part: 0 },
      { name: "desktop", count: 3, part: 0.75 },
      { name: "watch", count: 1, part: 0.25 },
    ]);
  });

  it("of nobody are nothing, not a division by zero", () => {
    expect(sharesOf({}, ["mobile"])).toEqual([{ name: "mobile", count: 0, part: 0 }]);
  });
});
