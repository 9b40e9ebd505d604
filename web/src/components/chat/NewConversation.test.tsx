// @vitest-environment jsdom
import { screen, waitFor } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";
import { DemoStore } from "../../testing/demoStore";
import { renderChat } from "../../testing/render";
import { NewConversation } from "./NewConversation";

async function setup() {
  const store = new DemoStore();
  const start = vi.spyOn(store, "start").mockResolvedValue("made");
  const shown = renderChat(<NewConversation />, { store });
  await shown.user.click(screen.getByRole("button", { name: "New conversation" }));
  return { ...shown, start };
}

describe("a new conversation", () => {
  it("begins with the people that were named", async () => {
    const { user, start } = await setup();
    await user.type(await screen.findByRole("combobox", { name: "People" }), "bob{Enter}carol{Enter}");
    await user.type(screen.getByLabelText("Title (optional)"), "Knee");
    await user.click(screen.getByRole("button", { name: "Start" }));
    expect(start).toHaveBeenCalledExactlyOnceWith(["bob", "carol"], "Knee");
    await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
  });

  it("does not begin without anybody", async () => {
    const { user, start } = await setup();
    await user.type(await screen.findByLabelText("Title (optional)"), "Nobody{Enter}");
    expect(screen.getByRole<HTMLButtonElement>("button", { name: "Start" }).disabled).toBe(true);
    expect(start).not.toHaveBeenCalled();
  });
});
