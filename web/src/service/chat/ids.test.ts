import { expect, it } from "vitest";
import { uuid7 } from "./ids";

it("makes UUIDs of version 7", () => {
  expect(uuid7(Date.now())).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

it("sorts by the order of the calls, within a millisecond and when the clock goes back", () => {
  const now = Date.now() + 60_000;
  const ids = Array.from({ length: 10_000 }, (_, n) => uuid7(now - (n % 3)));
  expect([...ids].sort()).toEqual(ids);
  expect(new Set(ids).size).toBe(ids.length);
});
