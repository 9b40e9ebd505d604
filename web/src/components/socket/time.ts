/** Times of frames: to the millisecond, because they are compared with logs. */

/** `14:05:09.123`, in the local time zone. */
export function preciseTime(at: number, language: string): string {
  return new Intl.DateTimeFormat(language, {
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    fractionalSecondDigits: 3,
    hourCycle: "h23",
  }).format(at);
}
