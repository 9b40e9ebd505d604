/** Live figures as a bounded window that only moves forward: what the charts of the admin page draw. */

import type { AdminStats, EdgeLease } from "./model";

/** How far back the charts look. */
export const WINDOW_MS = 300_000;
/** Figures come every 2 s; more than this between two is a hole, and drawn as one. */
const HOLE_MS = 9_000;
/** Above what the window needs, in case somebody sends faster. */
const SAMPLES_MAX = 400;
/** Edges renew their lease every 2 s; it ends after 7 s. */
const EDGE_LATE_MS = 5_000;

/** One moment; null where nothing is known, which breaks a chart's line. */
export interface Sample {
  /** Milliseconds since 1970, by the server's clock. */
  readonly at: number;
  readonly connections: number | null;
  readonly messages: number | null;
  readonly deliveries: number | null;
  /** A provider took them, per second; then attempts that none took, none on purpose, and given up. */
  readonly pushes: number | null;
  readonly failed: number | null;
  readonly skipped: number | null;
  readonly dead: number | null;
  readonly p50: number | null;
  readonly p99: number | null;
}

export interface StatsWindow {
  readonly latest: AdminStats | undefined;
  /** Oldest first. */
  readonly samples: readonly Sample[];
}

export const NO_STATS: StatsWindow = { latest: undefined, samples: [] };

const NUMBERS = ["connections", "users_online", "messages_per_s", "deliveries_per_s", "pushes_per_s"] as const;
const COUNTS = ["by_edge", "by_device", "by_role"] as const;

/** A frame's data as figures; undefined if it is something else. */
export function readStats(data: Readonly<Record<string, unknown>>): AdminStats | undefined {
  const dated = typeof data.at === "string" && Number.isFinite(Date.parse(data.at));
  const counted = NUMBERS.every((name) => Number.isFinite(data[name]));
  const split = COUNTS.every((name) => typeof data[name] === "object" && data[name] !== null);
  // The shape was looked at as far as the page would fall over it.
  return dated && counted && split ? (data as unknown as AdminStats) : undefined;
}

/** The window with newer figures in it; the same one if they are not newer, as of two edges' answers only one counts. */
export function withStats(window: StatsWindow, stats: AdminStats): StatsWindow {
  const at = Date.parse(stats.at);
  const last = window.samples.at(-1)?.at;
  if (last !== undefined && at <= last) return window;
  const hole = last !== undefined && at - last > HOLE_MS ? [nothing(last + 1)] : [];
  const samples = [...window.samples, ...hole, sampleOf(stats, at)];
  return { latest: stats, samples: samples.filter((one) => one.at >= at - WINDOW_MS).slice(-SAMPLES_MAX) };
}

function sampleOf(stats: AdminStats, at: number): Sample {
  return {
    at,
    connections: stats.connections,
    messages: stats.messages_per_s,
    deliveries: stats.deliveries_per_s,
    pushes: stats.pushes_per_s,
    // A server of an older release tells of what was sent alone.
    failed: stats.push_results_per_s?.["failed"] ?? null,
    skipped: stats.push_results_per_s?.["skipped"] ?? null,
    dead: stats.push_results_per_s?.["dead"] ?? null,
    p50: stats.delivery_p50_ms ?? null,
    p99: stats.delivery_p99_ms ?? null,
  };
}

function nothing(at: number): Sample {
  const pushes = { pushes: null, failed: null, skipped: null, dead: null };
  return { at, connections: null, messages: null, deliveries: null, ...pushes, p50: null, p99: null };
}

export interface EdgeView {
  readonly id: string;
  readonly connections: number;
  readonly users: number;
  readonly framesIn: number;
  readonly framesOut: number;
  readonly slowCloses: number;
  readonly interruptions: number;
  readonly startedAt: number;
  /** Since it last said that it is alive. */
  readonly lagMs: number;
  readonly late: boolean;
}

/** The edges by their names, with how long ago each was heard. */
export function edgesOf(stats: AdminStats): readonly EdgeView[] {
  const at = Date.parse(stats.at);
  return (stats.edges ?? [])
    .map((lease) => edgeOf(lease, at))
    .sort((a, b) => a.id.localeCompare(b.id, undefined, { numeric: true }));
}

function edgeOf({ edge_id: id, renewed_at, started_at, figures }: EdgeLease, at: number): EdgeView {
  // Two machines' clocks: a little ahead is no lag.
  const lagMs = Math.max(0, at - Date.parse(renewed_at));
  return {
    id,
    connections: figures?.connections ?? 0,
    users: figures?.users ?? 0,
    framesIn: figures?.frames_in ?? 0,
    framesOut: figures?.frames_out ?? 0,
    slowCloses: figures?.slow_closes ?? 0,
    interruptions: figures?.nats_interruptions ?? 0,
    startedAt: Date.parse(started_at),
    lagMs,
    late: lagMs > EDGE_LATE_MS,
  };
}

export interface Share {
  readonly name: string;
  readonly count: number;
  /** Of the sum, 0 to 1. */
  readonly part: number;
}

/** Counts by name, in the order of `known` and then whatever else the server counts; what is known is there with 0, too. */
export function sharesOf(counts: Readonly<Record<string, number>>, known: readonly string[]): readonly Share[] {
  const names = [...known, ...Object.keys(counts).filter((name) => !known.includes(name))];
  const sum = names.reduce((total, name) => total + (counts[name] ?? 0), 0);
  return names.map((name) => {
    const count = counts[name] ?? 0;
    return { name, count, part: sum === 0 ? 0 : count / sum };
  });
}
