/** The service worker, in a browser that is made of what it calls. */

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const CODE = readFileSync(new URL("../../public/sw.js", import.meta.url), "utf8");
const ID = "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e";
const ALERT = {
  kind: "alert",
  push_id: "11936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
  title: "Ben",
  content: "<b>See you</b> at nine",
  tag: "m1",
  group: ID,
  badge: 2,
  data: { action: "open_conversation", conversation_id: ID },
};

interface Shown {
  readonly title: string;
  readonly tag?: string;
  readonly body?: string;
  readonly data: { readonly group?: string; readonly conversation_id?: string };
  close(): void;
}

class Page {
  readonly url: string;
  readonly heard: unknown[] = [];
  focused = 0;

  constructor(url: string) {
    this.url = url;
  }

  postMessage(message: unknown): void {
    this.heard.push(message);
  }

  async focus(): Promise<void> {
    this.focused += 1;
  }
}

class Worker {
  readonly pages: Page[];
  readonly opened: string[] = [];
  readonly badges: number[] = [];
  readonly subscribed: unknown[] = [];
  notifications: Shown[] = [];
  readonly #listeners = new Map<string, (event: unknown) => void>();

  constructor(...pages: Page[]) {
    this.pages = pages;
    const worker = {
      addEventListener: (name: string, listener: (event: unknown) => void) => this.#listeners.set(name, listener),
      skipWaiting: () => undefined,
      clients: {
        claim: async () => undefined,
        matchAll: async () => this.pages,
        openWindow: async (url: string) => this.opened.push(url),
      },
      navigator: { setAppBadge: async (count: number) => this.badges.push(count) },
      registration: {
        getNotifications: async () => this.notifications,
        showNotification: async (title: string, options: Omit<Shown, "title" | "close">) => this.#show(title, options),
        pushManager: { subscribe: async (options: unknown) => this.subscribed.push(options) },
      },
    };
    new Function("self", CODE)(worker);
  }

  async happen(name: string, event: Record<string, unknown>): Promise<void> {
    const waits: Promise<unknown>[] = [];
    this.#listeners.get(name)?.({ ...event, waitUntil: (work: Promise<unknown>) => waits.push(work) });
    await Promise.all(waits);
  }

  push(payload: unknown): Promise<void> {
    return this.happen("push", { data: { json: () => payload } });
  }

  click(data: unknown): Promise<void> {
    return this.happen("notificationclick", { notification: { data, close: () => undefined } });
  }

  #show(title: string, options: Omit<Shown, "title" | "close">): void {
    const close = () => {
      this.notifications = this.notifications.filter((one) => one !== shown);
    };
    const shown: Shown = { title, ...options, close };
    this.notifications = [...this.notifications.filter((one) => one.tag !== options.tag), shown];
  }
}

describe("the service worker", () => {
  it("shows what the notifier sends, as text, once though it came twice", async () => {
    const worker = new Worker(new Page("https://natter.example/chat"));
    await worker.push(ALERT);
    await worker.push(ALERT);
    expect(worker.notifications).toHaveLength(1);
    expect(worker.notifications[0]).toMatchObject({ title: "Ben", body: "<b>See you</b> at nine", tag: "m1" });
    expect(worker.badges).toEqual([2, 2]);
    expect(worker.pages[0]?.heard[0]).toEqual({ natter: "shown", push_id: ALERT.push_id });
  });

  it("takes back what was read elsewhere, and shows nothing for it", async () => {
    const worker = new Worker();
    await worker.push(ALERT);
    await worker.push({ kind: "retraction", push_id: "p2", retract: [ID], badge: 0, data: {} });
    expect(worker.notifications).toEqual([]);
    expect(worker.badges).toEqual([2, 0]);
  });

  it("survives a push that it does not understand", async () => {
    const worker = new Worker();
    await worker.push("nonsense");
    const broken = () => {
      throw new SyntaxError("no JSON");
    };
    await worker.happen("push", { data: { json: broken } });
    expect(worker.notifications).toEqual([]);
  });

  it("opens the conversation on a click where no page is open", async () => {
    const worker = new Worker();
    await worker.click({ conversation_id: ID });
    expect(worker.opened).toEqual([`/chat/${ID}`]);
  });

  it("focuses the chat that is open, and tells it which conversation", async () => {
    const [admin, chat] = [new Page("https://natter.example/admin"), new Page("https://natter.example/chat")];
    const worker = new Worker(admin, chat);
    await worker.click({ conversation_id: ID });
    expect(chat.heard).toEqual([{ natter: "open", conversation_id: ID }]);
    expect([chat.focused, admin.focused, worker.opened.length]).toEqual([1, 0, 0]);
  });

  it("opens no other address, whatever a push says", async () => {
    const worker = new Worker();
    await worker.click({ conversation_id: "../../evil" });
    await worker.click(undefined);
    expect(worker.opened).toEqual(["/chat", "/chat"]);
  });

  it("subscribes anew when the browser has thrown the subscription away", async () => {
    const worker = new Worker();
    const options = { userVisibleOnly: true };
    await worker.happen("pushsubscriptionchange", { oldSubscription: { options } });
    expect(worker.subscribed).toEqual([options]);
  });
});
