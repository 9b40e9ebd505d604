/** Times, sizes and lengths as people of a language write them. */

const DAY_MS = 86_400_000;
const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte"] as const;

/** The user's own region of a language, which decides between 2:05 PM and 14:05. */
function regional(language: string): string {
  const base = language.split("-")[0];
  return navigator.languages.find((tag) => tag.split("-")[0] === base) ?? language;
}

/** The hour and minute of a message. */
export function clockTime(at: number, language: string): string {
  return new Intl.DateTimeFormat(regional(language), { hour: "2-digit", minute: "2-digit" }).format(at);
}

/** Date and time in full, for tooltips and screen readers. */
export function fullTime(at: number, language: string): string {
  return new Intl.DateTimeFormat(regional(language), { dateStyle: "full", timeStyle: "short" }).format(at);
}

/** Midnight of the local day, as a number that two times of one day share. */
export function dayOf(at: number): number {
  return new Date(at).setHours(0, 0, 0, 0);
}

/** Today, yesterday, a weekday of the last week, or a date. */
export function dayName(at: number, now: number, language: string): string {
  // Rounded, because days on which clocks change have 23 or 25 hours.
  const daysAgo = Math.round((dayOf(now) - dayOf(at)) / DAY_MS);
  if (daysAgo === 0 || daysAgo === 1) {
    return upperFirst(new Intl.RelativeTimeFormat(regional(language), { numeric: "auto" }).format(-daysAgo, "day"));
  }
  if (daysAgo > 1 && daysAgo < 7) {
    return upperFirst(new Intl.DateTimeFormat(regional(language), { weekday: "long" }).format(at));
  }
  const sameYear = new Date(at).getFullYear() === new Date(now).getFullYear();
  return new Intl.DateTimeFormat(
    regional(language),
    sameYear ? { day: "numeric", month: "long" } : { day: "numeric", month: "long", year: "numeric" },
  ).format(at);
}

/** For lists, where there is little room: the time of today, else the day. */
export function shortTime(at: number, now: number, language: string): string {
  const daysAgo = Math.round((dayOf(now) - dayOf(at)) / DAY_MS);
  if (daysAgo <= 0) {
    return clockTime(at, language);
  }
  if (daysAgo === 1) {
    return dayName(at, now, language);
  }
  if (daysAgo < 7) {
    return upperFirst(new Intl.DateTimeFormat(regional(language), { weekday: "short" }).format(at));
  }
  return new Intl.DateTimeFormat(regional(language), { day: "numeric", month: "numeric", year: "2-digit" }).format(at);
}

/** `640 kB`, `1.2 MB`. */
export function byteSize(bytes: number, language: string): string {
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log10(bytes) / 3), UNITS.length - 1);
  const unit = UNITS[power] ?? "byte";
  return new Intl.NumberFormat(regional(language), {
    style: "unit",
    unit,
    unitDisplay: unit === "byte" ? "long" : "short",
    maximumFractionDigits: power < 2 ? 0 : 1,
  }).format(bytes / 1000 ** power);
}

/** `0:07`, `12:30`. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** One or two letters for an avatar: of two words one each, of Chinese names the last two characters. */
export function initials(name: string): string {
  const words = name.trim().split(/\s+/).filter(Boolean);
  const [first = "", second] = words;
  if (second !== undefined) {
    return (letter(first) + letter(words.at(-1) ?? second)).toUpperCase();
  }
  return /\p{Script=Han}/u.test(first) ? [...first].slice(-2).join("") : letter(first).toUpperCase();
}

function letter(word: string): string {
  return [...word][0] ?? "";
}

function upperFirst(text: string): string {
  return text.charAt(0).toLocaleUpperCase() + text.slice(1);
}
