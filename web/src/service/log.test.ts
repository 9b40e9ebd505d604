import { expect, it } from "vitest";
import { logLine } from "./log";

it("is one line with the stage and its fields, so that one search follows a message", () => {
  const line = logLine("merged", { stream: "conversation:1", seq: 7, gap: undefined, why: "two words" });
  expect(line).toBe('natter merged stream=conversation:1 seq=7 why="two words"');
});

it("never holds a token or what was said", () => {
  expect(logLine("auth", { access_token: "a.b.c", content: "hello" })).toBe("natter auth access_token=… content=…");
});
