import { describe, expect, it } from "vitest";
import { deviceId, deviceType } from "./device";

const MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.0 Safari/605.1.15";

describe("the type of a device", () => {
  it.each([
    ["Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0", 0, "desktop"],
    ["Mozilla/5.0 (Windows NT 10.0) Chrome/140.0", 10, "desktop"],
    [MAC, 0, "desktop"],
    [MAC, 5, "tablet"],
    ["Mozilla/5.0 (iPad; CPU OS 12_0 like Mac OS X)", 5, "tablet"],
    ["Mozilla/5.0 (Linux; Android 14; SM-X700) Chrome/140.0 Safari/537.36", 5, "tablet"],
    ["Mozilla/5.0 (Linux; Android 14; Pixel 8) Chrome/140.0 Mobile Safari/537.36", 5, "mobile"],
    ["Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)", 5, "mobile"],
  ])("of %s with %i fingers is %s's", (userAgent, maxTouchPoints, type) => {
    expect(deviceType({ userAgent, maxTouchPoints })).toBe(type);
  });
});

describe("the name of a device", () => {
  it("is made once and kept", () => {
    const kept = new Map<string, string>();
    const storage = {
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, value: string) => void kept.set(key, value),
    };
    const name = deviceId(storage);
    expect(name).toMatch(/^web-[0-9a-f-]{36}$/);
    expect(deviceId(storage)).toBe(name);
  });

  it("is made anew where nothing can be kept", () => {
    const closed = {
      getItem: () => {
        throw new Error("denied");
      },
      setItem: () => undefined,
    };
    expect(deviceId(closed)).not.toBe(deviceId(undefined));
  });
});
