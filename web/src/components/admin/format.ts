/** Figures, spans and times of the admin page as people of a language write them. */

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** `1,234`; `0.4` where there is little. */
export function figure(value: number, language: string): string {
  return new Intl.NumberFormat(language, { maximumFractionDigits: Math.abs(value) < 10 ? 1 : 0 }).format(value);
}

/** `12 ms`, `1.3 s`. */
export function span(ms: number, language: string): string {
  if (ms < SECOND_MS) return unit(ms, "millisecond", language);
  if (ms < MINUTE_MS) return unit(ms / SECOND_MS, "second", language);
  if (ms < HOUR_MS) return unit(ms / MINUTE_MS, "minute", language);
  return ms < DAY_MS ? unit(ms / HOUR_MS, "hour", language) : unit(ms / DAY_MS, "day", language);
}

/** The time of day with seconds: figures are two seconds apart. Nothing for what is no time, as a chart without a pointer asks. */
export function clock(at: number, language: string): string {
  if (!Number.isFinite(at)) return "";
  return new Intl.DateTimeFormat(language, {
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hourCycle: "h23",
  }).format(at);
}

/** Day and time, for what may be of another day. */
export function moment(at: number, language: string): string {
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" }).format(at);
}

function unit(value: number, name: string, language: string): string {
  return new Intl.NumberFormat(language, {
    style: "unit",
    unit: name,
    unitDisplay: "short",
    maximumFractionDigits: value < 10 && name !== "millisecond" ? 1 : 0,
  }).format(value);
}
