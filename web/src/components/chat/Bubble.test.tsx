// @vitest-environment jsdom
import { screen } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";
import type { MessageView } from "../../service/chat/model";
import { message } from "../../testing/messages";
import { renderChat } from "../../testing/render";
import { type MessageActions, MessageActionsContext } from "./actions";
import { Bubble } from "./Bubble";
import { byKey } from "./MessageMenu";

function actions(): MessageActions {
  return {
    reply: vi.fn(),
    edit: vi.fn(),
    copy: vi.fn(),
    remove: vi.fn(),
    retry: vi.fn(),
    discard: vi.fn(),
    jump: vi.fn(),
    show: vi.fn(),
  };
}

function show(shown: MessageView, does = actions()) {
  return {
    does,
    ...renderChat(
      <MessageActionsContext value={does}>
        <Bubble message={shown} people={[]} first last withName={false} />
      </MessageActionsContext>,
    ),
  };
}

const own = (more: Partial<MessageView>) => message({ mine: true, ...more });

describe("a message", () => {
  it.each([
    ["sending", "Sending"],
    ["sent", "Sent"],
    ["delivered", "Delivered"],
    ["read", "Read"],
  ] as const)("of one's own says that it is %s", (progress, label) => {
    show(own({ progress }));
    expect(screen.getByRole("img", { name: label }).getAttribute("data-progress")).toBe(progress);
  });

  it("of somebody else has no mark of progress", () => {
    show(message());
    expect(screen.queryByRole("img")).toBeNull();
  });

  it("that was not sent says why, and can be tried again or given up", async () => {
    const failed = own({ progress: "failed", failure: "The file is too large." });
    const { does, user } = show(failed);
    expect(screen.getByText("Not sent: The file is too large.")).toBeDefined();
    await user.click(screen.getByRole("button", { name: "Try again" }));
    expect(does.retry).toHaveBeenCalledExactlyOnceWith(failed);
    await user.click(screen.getByRole("button", { name: "Discard" }));
    expect(does.discard).toHaveBeenCalledExactlyOnceWith(failed);
  });

  it("shows markup as the text that it is", () => {
    const { container } = show(message({ content: '<img src=x onerror="alert(1)"> <b>bold</b>' }));
    expect(screen.getByText('<img src=x onerror="alert(1)"> <b>bold</b>')).toBeDefined();
    expect(container.querySelector("b, img")).toBeNull();
  });

  it("makes links of addresses of the web and of nothing else, without the full stop", () => {
    show(message({ content: "See https://example.org/a?b=1. Not javascript:alert(1) nor file:///etc" }));
    const links = screen.getAllByRole("link");
    expect(links.map((link) => link.getAttribute("href"))).toEqual(["https://example.org/a?b=1"]);
    expect(links[0]?.getAttribute("rel")).toContain("noopener");
  });

  it("that was deleted shows neither its text nor its file", () => {
    const attachment = { id: "pdf-1", name: "plan.pdf", contentType: "application/pdf", size: 1 };
    show(message({ deleted: true, content: "secret", kind: "file", attachment }));
    expect(screen.getByText("This message was deleted")).toBeDefined();
    expect(screen.queryByText("secret")).toBeNull();
    expect(screen.queryByText("plan.pdf")).toBeNull();
  });

  it("leads to the one that it quotes", async () => {
    const { does, user } = show(message({ replyTo: { messageId: "m9", senderId: "ben", content: "Sunday?" } }));
    await user.click(screen.getByRole("button", { name: /Sunday\?/ }));
    expect(does.jump).toHaveBeenCalledExactlyOnceWith("m9");
  });

  it("says that it is an internal note, or important, in words", () => {
    show(message({ internal: true, important: true }));
    expect(screen.getByText("Internal note")).toBeDefined();
    expect(screen.getByText("Important")).toBeDefined();
  });
});

describe("keys on a message", () => {
  it("do what its menu offers, and nothing that it does not", () => {
    const does = actions();
    expect(byKey("r", message(), does)).toBe(true);
    expect(byKey("C", message(), does)).toBe(true);
    expect(byKey("e", own({}), does)).toBe(true);
    expect(byKey("Delete", own({}), does)).toBe(true);
    for (const done of [does.reply, does.copy, does.edit, does.remove]) {
      expect(done).toHaveBeenCalledOnce();
    }
    expect(byKey("e", message(), does)).toBe(false);
    expect(byKey("Delete", message(), does)).toBe(false);
    expect(byKey("r", message({ deleted: true }), does)).toBe(false);
    expect(byKey("x", message(), does)).toBe(false);
    expect(does.edit).toHaveBeenCalledOnce();
  });
});
