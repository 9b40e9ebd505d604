/** Ids that this side makes. */

const COUNTER_MAX = 0xfff;
let lastMs = 0;
let counter = 0;

/**
 * A UUIDv7: whoever sorts by it sorts by the order of the calls, also of those in one millisecond, and when the device's
 * clock goes back.
 */
export function uuid7(wallMs: number): string {
  tick(Math.floor(wallMs));
  const random = crypto.getRandomValues(new Uint8Array(8));
  random[0] = ((random[0] ?? 0) & 0x3f) | 0x80;
  const time = lastMs.toString(16).padStart(12, "0");
  const tail = [...random].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const count = counter.toString(16).padStart(3, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${count}-${tail.slice(0, 4)}-${tail.slice(4)}`;
}

function tick(ms: number): void {
  if (ms > lastMs) {
    lastMs = ms;
    counter = 0;
  } else if (counter < COUNTER_MAX) {
    counter += 1;
  } else {
    lastMs += 1;
    counter = 0;
  }
}
