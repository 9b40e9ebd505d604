// @vitest-environment jsdom
import { describe, expect, it } from "vitest";
import { byteSize, dayName, dayOf, duration, initials, shortTime } from "./format";

const NOW = new Date(2026, 4, 20, 12).getTime();
const DAY = 86_400_000;

describe("times and sizes", () => {
  it("names days as people do, in their language", () => {
    expect(dayName(NOW, NOW, "en")).toBe("Today");
    expect(dayName(NOW - DAY, NOW, "en")).toBe("Yesterday");
    expect(dayName(NOW - 2 * DAY, NOW, "en")).toBe("Monday");
    expect(dayName(NOW - 20 * DAY, NOW, "en")).toMatch(/30/);
    expect(dayName(NOW - 400 * DAY, NOW, "en")).toMatch(/2025/);
    expect(dayName(NOW, NOW, "zh-CN")).toBe("今天");
  });

  it("calls the day before yesterday, even when that day had 23 hours", () => {
    const morning = new Date(2026, 2, 30, 0, 30).getTime();
    expect(dayName(new Date(2026, 2, 29, 23, 30).getTime(), morning, "en")).toBe("Yesterday");
    expect(dayOf(morning)).toBe(new Date(2026, 2, 30).getTime());
  });

  it("has a time for what is of today in lists, and a day for what is older", () => {
    expect(shortTime(NOW, NOW, "en")).toMatch(/12:00/);
    expect(shortTime(NOW - DAY, NOW, "en")).toBe("Yesterday");
  });

  it("writes lengths and sizes", () => {
    expect([duration(0), duration(7_400), duration(754_000)]).toEqual(["0:00", "0:07", "12:34"]);
    expect(byteSize(1_840_200, "en")).toBe("1.8 MB");
    expect(byteSize(248_310, "en")).toBe("248 kB");
    expect(byteSize(0, "en")).toBe("0 bytes");
  });

  it("makes initials of names of any script", () => {
    expect(initials("Dr. Dora Weiss")).toBe("DW");
    expect(initials("alice")).toBe("A");
    expect(initials("王美玲")).toBe("美玲");
    expect(initials("")).toBe("");
  });
});
