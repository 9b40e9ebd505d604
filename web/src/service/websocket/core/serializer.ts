/** Frames to text and back; what comes from outside is looked at before it is believed. */

import type { ServerFrame, Welcome } from "../types";

/** What a frame needs beside its data. */
export const HEAD_BYTES = 256;
const FRAME_BYTES_MAX = 65_536;
const PRESENCE_USERS_MAX = 200;

type Raw = Readonly<Record<string, unknown>>;

/** Whether it is an object with fields, and no list. */
export function isRecord(value: unknown): value is Raw {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The frame, or undefined if it is none. A field that is wrong counts as missing. */
export function parseFrame(text: string): ServerFrame | undefined {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isRecord(raw) || typeof raw.action !== "string") return undefined;
  const durable = typeof raw.stream === "string" && Number.isSafeInteger(raw.seq) && (raw.seq as number) >= 1;
  return {
    action: raw.action,
    data: isRecord(raw.data) ? raw.data : {},
    ...(typeof raw.id === "string" && { id: raw.id }),
    ...((typeof raw.ref === "string" || typeof raw.ref === "number") && { ref: raw.ref }),
    ...(typeof raw.time === "string" && { time: raw.time }),
    ...(durable && { stream: raw.stream as string, seq: raw.seq as number }),
  };
}

/** A frame as it goes over the wire. */
export function encodeFrame(action: string, data: Raw, ref?: number): string {
  return JSON.stringify(ref === undefined ? { action, data } : { action, ref, data });
}

/** Bytes of UTF-8, which is what limits count. */
export function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** What a `connected` frame says; undefined if it is none that this version can go by. */
export function parseWelcome(
  frame: ServerFrame,
  heartbeatIntervalMs: number,
  connectionTimeoutMs: number,
): Welcome | undefined {
  const { data } = frame;
  if (frame.action !== "connected" || typeof data.connection_id !== "string") return undefined;
  const limits = isRecord(data.limits) ? data.limits : {};
  return {
    connectionId: data.connection_id,
    userId: typeof data.user_id === "string" ? data.user_id : "",
    edgeId: typeof data.edge_id === "string" ? data.edge_id : "",
    heartbeatIntervalMs: positive(data.heartbeat_interval_ms, heartbeatIntervalMs),
    connectionTimeoutMs: positive(data.connection_timeout_ms, connectionTimeoutMs),
    syncIntervalMs: positive(data.sync_interval_ms, 30_000),
    frameBytesMax: positive(limits.frame_bytes_max, FRAME_BYTES_MAX),
    presenceUsersMax: positive(limits.presence_users_max, PRESENCE_USERS_MAX),
    features: Array.isArray(data.features) ? data.features.filter((name) => typeof name === "string") : [],
  };
}

function positive(value: unknown, otherwise: number): number {
  return typeof value === "number" && Number.isFinite(value) && value > 0 ? value : otherwise;
}

/** The text without a token in it, for logs and the test page. */
export function redact(text: string): string {
  return text.replace(/("token"\s*:\s*)"(?:[^"\\]|\\.)*"/g, '$1"…"');
}
