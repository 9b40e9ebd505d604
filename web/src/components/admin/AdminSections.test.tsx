// @vitest-environment jsdom

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { act, screen, waitFor, within } from "@testing-library/react";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { createTexts, LANGUAGES, type Language } from "../../app/i18n";
import { AdminContext } from "../../hooks/useAdmin";
import { useConnectionState } from "../../hooks/usePageConnection";
import { ApiError } from "../../service/chat/api";
import { ScriptedConnection } from "../../testing/connection";
import { DemoAdmin, demoId, demoStats } from "../../testing/demoAdmin";
import { renderChat } from "../../testing/render";
import { AdminSections } from "./AdminSections";

const AWAY = new ApiError("unavailable", "NATS does not answer", 503);

interface Options {
  readonly admin?: DemoAdmin;
  readonly tab?: string;
  readonly language?: Language;
}

function Page({ connection }: { readonly connection: ScriptedConnection }) {
  return <AdminSections connection={connection} status={useConnectionState(connection).status} />;
}

function show({ admin = new DemoAdmin(), tab = "overview", language = "en" }: Options = {}) {
  const connection = new ScriptedConnection();
  connection.connect();
  const page = (
    <AdminContext value={admin}>
      <Page connection={connection} />
    </AdminContext>
  );
  return { admin, connection, ...renderChat(page, { at: `/admin?tab=${tab}`, language }) };
}

beforeEach(() => {
  // Nothing is measured in jsdom, so charts have no size here, and say so each time.
  const warn = console.warn;
  vi.spyOn(console, "warn").mockImplementation((...words: unknown[]) => {
    if (!String(words[0]).includes("of chart should be greater than 0")) warn(...words);
  });
});

describe("the live section", () => {
  it("shows figures as words before the first frame, and the newest frame's after it", async () => {
    const { connection } = show();
    const online = await screen.findByText("Users online");
    act(() => connection.say({ action: "stats", data: { ...demoStats(Date.now() + 5_000, { users_online: 7 }) } }));
    expect(within(online.parentElement ?? document.body).getByText("7")).toBeTruthy();
  });

  it("names each chart, with its newest figures", async () => {
    show();
    await screen.findByText("Users online");
    const charts = screen.getAllByRole("img").map((chart) => chart.getAttribute("aria-label"));
    expect(charts).toHaveLength(4);
    expect(charts[1]).toMatch(
      /^From sending to a device's receipt, last five minutes\. Now: p50 \d+ ms, p99 \d+ ms\.$/,
    );
  });

  it("gives the same as a table to whoever prefers to read", async () => {
    const { user } = show();
    await user.click(await screen.findByRole("radio", { name: "Table" }));
    const table = screen.getByRole("table", { name: "The newest figures" });
    expect(within(table).getAllByRole("columnheader")).toHaveLength(10);
    expect(within(table).getAllByRole("row")).toHaveLength(2);
  });

  it("says in words which edge is late", async () => {
    show();
    const row = await screen.findByRole("row", { name: /edge-2/ });
    expect(within(row).getByText("late")).toBeTruthy();
  });

  it("says why there are no figures", async () => {
    const admin = new DemoAdmin({ failure: AWAY });
    show({ admin });
    expect((await screen.findByRole("alert")).textContent).toContain("the server is busy");
  });

  it("is left with the arrow keys alone", async () => {
    const { user } = show();
    await user.click(screen.getByRole("tab", { name: "Live" }));
    await user.keyboard("{ArrowRight}");
    expect(screen.getByRole("tab", { name: "Connections" }).getAttribute("aria-selected")).toBe("true");
    expect(await screen.findByRole("table", { name: "Open connections" })).toBeTruthy();
  });
});

describe("connections", () => {
  it("are narrowed by what is chosen, and say how many are left", async () => {
    const { user } = show({ tab: "connections" });
    expect(await screen.findByText("12 connections")).toBeTruthy();
    await user.selectOptions(screen.getByLabelText("Device"), "tablet");
    expect(await screen.findByText("4 connections")).toBeTruthy();
    await user.type(screen.getByLabelText("User id"), "nobody");
    expect(await screen.findByText("No connection matches these filters")).toBeTruthy();
    await user.click(screen.getByRole("button", { name: "Clear the filters" }));
    expect(await screen.findByText("12 connections")).toBeTruthy();
  });

  it("are closed only after a confirmation: one, if nothing else is chosen", async () => {
    const { user, admin } = show({ tab: "connections" });
    await user.click(await screen.findByRole("button", { name: "Disconnect bob, Tablet" }));
    expect(admin.done).toEqual([]);
    await user.click(within(await screen.findByRole("dialog")).getByRole("button", { name: "Disconnect" }));
    expect(await screen.findByText(/told to close 1 connection\./)).toBeTruthy();
    expect(admin.done).toMatchObject([{ what: "disconnect", with: { userId: "bob", connectionId: demoId(111) } }]);
    expect(screen.queryByRole("button", { name: "Disconnect bob, Tablet" })).toBeNull();
    expect(screen.getByRole("button", { name: "Disconnect bob, Phone" })).toBeTruthy();
  });

  it("are closed all together if that is chosen", async () => {
    const { user, admin } = show({ tab: "connections" });
    await user.click(await screen.findByRole("button", { name: "Disconnect bob, Tablet" }));
    await user.click(await screen.findByRole("radio", { name: /All of this user/ }));
    await user.click(within(screen.getByRole("dialog")).getByRole("button", { name: "Disconnect" }));
    await screen.findByText(/told to close 2 connections\./);
    expect(admin.done[0]?.with).toEqual({ userId: "bob" });
    expect(screen.queryByRole("button", { name: /Disconnect bob/ })).toBeNull();
  });

  it("that cannot be loaded say so, and are there after another try", async () => {
    const admin = new DemoAdmin({ failure: AWAY });
    const { user } = show({ admin, tab: "connections" });
    await screen.findByRole("alert");
    admin.failure = undefined;
    await user.click(screen.getByRole("button", { name: "Try again" }));
    expect(await screen.findByText("12 connections")).toBeTruthy();
    expect(screen.queryByRole("alert")).toBeNull();
  });
});

describe("a broadcast", () => {
  it("is not reviewed before all of it is there", async () => {
    const { user, admin } = show({ tab: "broadcast" });
    await user.click(await screen.findByRole("radio", { name: "By role" }));
    await user.click(screen.getByRole("button", { name: "Review and send" }));
    expect(screen.getAllByText("Please fill this in")).toHaveLength(2);
    expect(screen.getByText("Please choose at least one role")).toBeTruthy();
    expect(document.activeElement).toBe(screen.getByLabelText("Title"));
    expect(screen.queryByRole("dialog")).toBeNull();
    expect(admin.done).toEqual([]);
  });

  it("is seen as it will look, sent after a confirmation, and listed", async () => {
    const { user, admin } = show({ tab: "broadcast" });
    await user.type(await screen.findByLabelText("Title"), "Maintenance");
    await user.type(screen.getByLabelText("Text"), "At <b>ten</b>.");
    const preview = screen.getByRole("region", { name: "Preview" });
    expect(within(preview).getAllByText("At <b>ten</b>.")).toHaveLength(2);
    await user.click(screen.getByRole("radio", { name: "By role" }));
    await user.click(screen.getByRole("checkbox", { name: "Doctor" }));
    await user.click(screen.getByRole("button", { name: "Review and send" }));
    const dialog = await screen.findByRole("dialog");
    expect(within(dialog).getByText(/It goes to: Doctor\./)).toBeTruthy();
    await user.click(within(dialog).getByRole("button", { name: "Send now" }));
    expect(await screen.findByText("Accepted: 963 users are being told.")).toBeTruthy();
    expect(admin.done[0]?.with).toMatchObject({ title: "Maintenance", content: "At <b>ten</b>.", roles: ["doctor"] });
    const history = screen.getByRole("region", { name: "Broadcasts so far" });
    expect(await within(history).findByText("Maintenance")).toBeTruthy();
  });

  it("whose answer was lost is sent again under the same name", async () => {
    const { user, admin } = show({ tab: "broadcast" });
    await user.type(await screen.findByLabelText("Title"), "T");
    await user.type(screen.getByLabelText("Text"), "C");
    await user.click(screen.getByRole("button", { name: "Review and send" }));
    const send = await screen.findByRole("button", { name: "Send now" });
    admin.failure = new ApiError("network", "the server cannot be reached");
    await user.click(send);
    expect((await screen.findByText(/Sending again is safe/)).textContent).toBeTruthy();
    admin.failure = undefined;
    await user.click(screen.getByRole("button", { name: "Send now" }));
    await screen.findByText(/Accepted/);
    expect(admin.done).toHaveLength(2);
    expect(admin.done[1]?.key).toBe(admin.done[0]?.key);
  });
});

describe("a message's story", () => {
  it("is told for each recipient, with the reasons of pushes in words", async () => {
    const { user } = show({ tab: "story" });
    await user.type(await screen.findByLabelText("Message id"), `${demoId(7)}{Enter}`);
    const recipients = within(await screen.findByRole("list", { name: "Recipients" }));
    expect(recipients.getByText("it was read already")).toBeTruthy();
    expect(recipients.getByText("BadDeviceToken")).toBeTruthy();
    expect(recipients.getByText("Nothing has happened yet")).toBeTruthy();
  });

  it("is not asked for with what is no message id", async () => {
    const { user } = show({ tab: "story" });
    await user.type(await screen.findByLabelText("Message id"), "seven{Enter}");
    expect(screen.getByText(/A message id looks like/)).toBeTruthy();
  });

  it("of a message that is not there says just that", async () => {
    show({ tab: `story&message=${demoId(404)}` });
    expect(await screen.findByText("There is no such message")).toBeTruthy();
  });
});

describe("dead letters", () => {
  it("that were chosen are tried again, and the others stay", async () => {
    const { user, admin } = show({ tab: "dead" });
    await user.click(await screen.findByRole("checkbox", { name: "Select the push to bob" }));
    await user.click(screen.getByRole("button", { name: "Try again" }));
    await waitFor(() => expect(screen.queryByText("Push to bob")).toBeNull());
    expect(admin.done).toEqual([{ what: "replay", with: [8] }]);
    expect(screen.getByText("Push to alice")).toBeTruthy();
  });

  it("are given up only after a confirmation", async () => {
    const { user, admin } = show({ tab: "dead" });
    await user.click(await screen.findByRole("button", { name: "Drop all" }));
    const dialog = await screen.findByRole("dialog", { name: "Give up all dead letters for good?" });
    expect(admin.done).toEqual([]);
    await user.click(within(dialog).getByRole("button", { name: "Drop" }));
    expect(await screen.findByText("No dead letters")).toBeTruthy();
    expect(admin.done).toEqual([{ what: "drop", with: "all" }]);
  });

  it("of one user are never mistaken for all", async () => {
    const { user } = show({ tab: "dead" });
    await user.type(await screen.findByLabelText("User id"), "bob");
    await waitFor(() => expect(screen.queryByText("Push to alice")).toBeNull());
    expect(screen.getByRole("button", { name: "Drop all" }).hasAttribute("disabled")).toBe(true);
  });
});

describe("texts", () => {
  it("exist for every key that these components name, in all languages", () => {
    const folder = import.meta.dirname;
    const named = readdirSync(folder)
      .filter((name) => /(?<!\.test)\.tsx$/.test(name))
      .flatMap((name) => [...readFileSync(join(folder, name), "utf8").matchAll(/\bt\(\s*"(?:admin:)?([a-z_.0-9]+)"/g)])
      .map((match) => match[1] ?? "");
    expect(named.length).toBeGreaterThan(60);
    for (const language of Object.keys(LANGUAGES) as Language[]) {
      const texts = createTexts(language);
      const missing = named.filter((key) => !texts.exists(`admin:${key}`, { count: 2, fallbackLng: [] }));
      expect(missing, language).toEqual([]);
    }
  });

  it("are those of the reader's language", async () => {
    show({ language: "zh-CN" });
    expect(await screen.findByText("在线用户")).toBeTruthy();
    expect(screen.getByRole("tab", { name: "死信" })).toBeTruthy();
  });
});
