// @vitest-environment jsdom
import { screen } from "@testing-library/react";
import { expect, it, vi } from "vitest";
import type { RecordedFrame } from "../../service/websocket/recorder";
import { renderChat } from "../../testing/render";
import { FrameRow } from "./FrameRow";

const FRAME: RecordedFrame = {
  id: 7,
  direction: "in",
  action: "new_message",
  at: Date.UTC(2026, 10, 23, 9, 5, 6, 7),
  text: '{"action":"new_message","data":{"content":"<b>Hello</b>","mentions":[]}}',
};

it("opens and closes by a button that says how it stands", async () => {
  const onToggle = vi.fn();
  const { user } = renderChat(<FrameRow frame={FRAME} open={false} onToggle={onToggle} />);
  const toggle = screen.getByRole("button", { expanded: false });
  expect(toggle.textContent).toContain("new_message");
  await user.click(toggle);
  expect(onToggle).toHaveBeenCalledExactlyOnceWith(7);
});

it("shows its JSON as a tree in which text stays text", () => {
  renderChat(<FrameRow frame={FRAME} open onToggle={() => undefined} />);
  expect(screen.getByRole("button", { expanded: true })).toBeDefined();
  expect(screen.getByText('"<b>Hello</b>"')).toBeDefined();
  expect(screen.getByText("[]")).toBeDefined();
  expect(document.querySelector("b")).toBeNull();
});

it("shows what is no JSON as the text that it is", () => {
  renderChat(<FrameRow frame={{ ...FRAME, action: "?", text: "what" }} open onToggle={() => undefined} />);
  expect(screen.getByText('"what"')).toBeDefined();
});

it("is copied with its time and direction", async () => {
  const { user } = renderChat(<FrameRow frame={FRAME} open={false} onToggle={() => undefined} />);
  await user.click(screen.getByRole("button", { name: "Copy new_message" }));
  expect(await navigator.clipboard.readText()).toBe(`2026-11-23T09:05:06.007Z <- ${FRAME.text}`);
});
