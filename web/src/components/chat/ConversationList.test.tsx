// @vitest-environment jsdom
import { act, screen, within } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";
import { DemoStore } from "../../testing/demoStore";
import { renderChat } from "../../testing/render";
import { Chat } from "./Chat";

const titles = (): (string | null)[] =>
  within(screen.getByRole("list", { name: "Conversations" }))
    .getAllByRole("link")
    .map((link) => link.querySelector("p, span span span")?.textContent ?? null);

describe("the list of conversations", () => {
  it("puts the one that moved last first, at once", () => {
    const store = new DemoStore();
    renderChat(<Chat />, { store });
    expect(titles().at(-1)).toBe("Bob Lindqvist");
    act(() => void store.receive("bob", "bob", "One more thing", { at: Date.now() + 1000 }));
    expect(titles()[0]).toBe("Bob Lindqvist");
    expect(screen.getByText("One more thing")).toBeDefined();
    const [first] = within(screen.getByRole("list", { name: "Conversations" })).getAllByRole("link");
    expect(first?.textContent).toContain("1 unread message");
  });

  it("finds by title, person and last words, and says when there is nothing", async () => {
    const { user } = renderChat(<Chat />);
    const search = screen.getByRole("searchbox", { name: "Search conversations" });
    await user.type(search, "NADIA");
    expect(titles()).toEqual(["Saturday group"]);
    await user.clear(search);
    await user.type(search, "zzz");
    expect(screen.getByText("Nothing found for “zzz”")).toBeDefined();
  });

  it("shows who types in place of the last words", () => {
    const store = new DemoStore();
    renderChat(<Chat />, { store });
    act(() => store.types("bob", ["bob"]));
    expect(screen.getByText("Bob Lindqvist is typing…")).toBeDefined();
  });

  it("does not call an unknown list empty", () => {
    renderChat(<Chat />, { store: new DemoStore({ empty: true }) });
    expect(screen.getByRole("status", { name: "Loading…" })).toBeDefined();
    expect(screen.queryByText("No conversations yet")).toBeNull();
  });

  it("lets customers ask for somebody, and staff take who waits; never the other way round", async () => {
    const asked = new DemoStore({ role: "customer" });
    const open = vi.spyOn(asked.consult, "open");
    const first = renderChat(<Chat />, { store: asked });
    expect(screen.queryByText(/^Queue/)).toBeNull();
    await first.user.click(screen.getByRole("button", { name: "Ask for somebody" }));
    await first.user.type(await screen.findByRole("textbox", { name: /What is it about/ }), "My knee");
    await first.user.click(screen.getByRole("button", { name: "Ask" }));
    expect(open).toHaveBeenCalledExactlyOnceWith("My knee");
    first.unmount();

    const store = new DemoStore({ role: "consultant" });
    const take = vi.spyOn(store.consult, "take");
    const { user } = renderChat(<Chat />, { store });
    expect(screen.queryByRole("button", { name: "Ask for somebody" })).toBeNull();
    await user.click(screen.getByText("Queue · 2"));
    await user.click(screen.getAllByRole("button", { name: "Take" })[0] as HTMLElement);
    expect(take).toHaveBeenCalledExactlyOnceWith("q1");
  });

  it("tells who was too slow that somebody else took it, in words of the reader", async () => {
    const store = new DemoStore({ role: "doctor" });
    store.consult.take = () => Promise.reject(Object.assign(new Error("Conflict."), { code: "conflict" }));
    const { user } = renderChat(<Chat />, { store, language: "zh-CN" });
    await user.click(screen.getByText("队列 · 2"));
    await user.click(screen.getAllByRole("button", { name: "接待" })[0] as HTMLElement);
    expect(await screen.findByText("操作失败：已被他人抢先，请刷新查看")).toBeDefined();
  });

  it("tells screen readers of a new message, but not of what was there before", () => {
    const store = new DemoStore();
    renderChat(<Chat />, { store });
    expect(screen.queryByText(/^New message from/)).toBeNull();
    act(() => void store.receive("bob", "bob", "Hello", { at: Date.now() + 1000 }));
    expect(screen.getByText("New message from Bob Lindqvist: Hello")).toBeDefined();
  });

  it("counts unread messages in the page's title, without muted conversations", () => {
    const { unmount } = renderChat(<Chat />);
    expect(document.title).toBe("(3) Natter");
    unmount();
    expect(document.title).toBe("Natter");
  });
});
