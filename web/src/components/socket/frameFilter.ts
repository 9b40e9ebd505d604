/** Which of the recorded frames are shown, and as what they are copied. */

import type { RecordedFrame } from "../../service/websocket/recorder";

export interface FrameFilter {
  readonly direction: "all" | "in" | "out";
  /** Undefined: every kind. */
  readonly action: string | undefined;
  /** Anywhere in the frame, whatever the case. */
  readonly text: string;
  /** Heartbeats, too. */
  readonly pings: boolean;
}

export const EVERYTHING: FrameFilter = { direction: "all", action: undefined, text: "", pings: true };

/** The frames that pass, in their order. */
export function filtered(frames: readonly RecordedFrame[], filter: FrameFilter): readonly RecordedFrame[] {
  const wanted = filter.text.trim().toLowerCase();
  return frames.filter(
    ({ direction, action, text }) =>
      (filter.direction === "all" || direction === filter.direction) &&
      (filter.action === undefined || action === filter.action) &&
      (filter.pings || filter.action !== undefined || (action !== "ping" && action !== "pong")) &&
      (wanted === "" || text.toLowerCase().includes(wanted)),
  );
}

/** The kinds of frames that there are, by name. */
export function actionsOf(frames: readonly RecordedFrame[]): readonly string[] {
  return [...new Set(frames.map(({ action }) => action))].sort();
}

/** One line each: time, direction, frame; to be put into a report. */
export function asText(frames: readonly RecordedFrame[]): string {
  return frames
    .map(({ at, direction, text }) => `${new Date(at).toISOString()} ${direction === "in" ? "<-" : "->"} ${text}`)
    .join("\n");
}
