import { describe, expect, it, vi } from "vitest";
import { type Api, ApiError } from "./chat/api";
import { PushDenied, type PushPlatform, PushService, type Subscription } from "./push";

const ID = "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e";
const KEY = "AQID";

/** A browser whose user says `answer`. */
class Browser implements PushPlatform {
  readonly deviceType = "desktop" as const;
  granted: NotificationPermission = "default";
  asked = 0;
  keys: number[][] = [];
  subscription: Subscription | undefined;
  say: (message: unknown) => void = () => undefined;
  readonly unsubscribe = vi.fn(async () => true);
  readonly answer: NotificationPermission;

  constructor(answer: NotificationPermission = "granted") {
    this.answer = answer;
  }

  permission = () => this.granted;

  ask = async () => {
    this.asked += 1;
    this.granted = this.answer;
    return this.answer;
  };

  current = async () => this.subscription;

  subscribe = async (key: Uint8Array) => {
    this.keys.push([...key]);
    const endpoint = `https://push.example/${this.keys.length}`;
    this.subscription = { endpoint, p256dh: "p", auth: "a", unsubscribe: this.unsubscribe };
    return this.subscription;
  };

  onMessage = (listener: (message: unknown) => void) => {
    this.say = listener;
    return () => undefined;
  };
}

function setUp(browser: Browser | undefined = new Browser(), key: string | undefined = KEY) {
  const calls: { method: string; path: string; options: unknown }[] = [];
  let error: Error | undefined;
  const record = (method: string) => async (path: string, options: unknown) => {
    calls.push({ method, path, options });
    return { data: { id: ID }, response: new Response(null, { status: 200 }) };
  };
  const client = { POST: record("POST"), DELETE: record("DELETE") };
  const api = {
    call: async (ask: (client: never) => Promise<{ data?: unknown }>) => {
      if (error !== undefined) throw error;
      return (await ask(client as never)).data;
    },
  } as unknown as Pick<Api, "call">;
  const kept = new Map<string, string>();
  const storage = {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem: (name: string, value: string) => void kept.set(name, value),
    removeItem: (name: string) => void kept.delete(name),
  };
  const push = new PushService({ api, deviceId: "web-1", key, platform: browser, storage });
  const fail = (next: Error) => {
    error = next;
  };
  return { browser, push, calls, kept, fail };
}

describe("Web Push", () => {
  it("asks nobody for anything before somebody clicks", async () => {
    const { browser, push, calls } = setUp();
    expect(await push.resume("en")).toBe(false);
    expect([browser?.asked, browser?.keys.length, calls.length]).toEqual([0, 0, 0]);
  });

  it("subscribes with the server's key and registers the browser", async () => {
    const { browser, push, calls } = setUp();
    await push.begin("zh-CN");
    expect(browser?.keys).toEqual([[1, 2, 3]]);
    expect(calls).toHaveLength(1);
    expect(calls[0]).toMatchObject({ method: "POST", path: "/v1/devices" });
    expect(calls[0]?.options).toMatchObject({
      body: {
        device_id: "web-1",
        platform: "web",
        push_service: "webpush",
        token: "https://push.example/1",
        keys: { p256dh: "p", auth: "a" },
        locale: "zh-CN",
      },
    });
  });

  it("registers nothing if the user says no", async () => {
    const { browser, push, calls } = setUp(new Browser("denied"));
    await expect(push.begin("en")).rejects.toBeInstanceOf(PushDenied);
    expect([browser?.keys.length, calls.length]).toEqual([0, 0]);
  });

  it("tells the server again after a reload, with the subscription that is there by then", async () => {
    const { browser, push, calls } = setUp();
    await push.begin("en");
    await browser?.subscribe(new Uint8Array([1]));
    expect(await push.resume("en")).toBe(true);
    expect(calls.at(-1)?.options).toMatchObject({ body: { token: "https://push.example/2" } });
  });

  it("stays on if the server cannot be reached after a reload", async () => {
    const { push, fail } = setUp();
    await push.begin("en");
    fail(new ApiError("network", "gone"));
    expect(await push.resume("en")).toBe(true);
    fail(new ApiError("forbidden", "no", 403));
    expect(await push.resume("en")).toBe(false);
  });

  it("ends on logout: the server forgets the device and the browser the subscription, even if one of them fails", async () => {
    const { browser, push, calls, kept, fail } = setUp();
    await push.begin("en");
    await push.end();
    expect(calls.at(-1)).toMatchObject({ method: "DELETE", options: { params: { path: { id: ID } } } });
    expect(browser?.unsubscribe).toHaveBeenCalledOnce();
    expect(kept.size).toBe(0);
    await push.begin("en");
    fail(new ApiError("network", "gone"));
    await push.end();
    expect(browser?.unsubscribe).toHaveBeenCalledTimes(2);
    expect(kept.size).toBe(0);
  });

  it("acknowledges a push that was shown, and opens the conversation of one that was clicked", async () => {
    const { browser, push, calls } = setUp();
    const opened: string[] = [];
    const forget = push.onOpen((id) => opened.push(id));
    browser?.say({ natter: "shown", push_id: ID });
    browser?.say({ natter: "open", conversation_id: ID });
    for (const nonsense of [null, "open", { natter: "open", conversation_id: "../x" }, { natter: "shown" }]) {
      browser?.say(nonsense);
    }
    expect(opened).toEqual([ID]);
    await vi.waitFor(() => expect(calls.map((call) => call.path)).toEqual(["/v1/pushes/{push_id}/ack"]));
    forget();
    browser?.say({ natter: "open", conversation_id: ID });
    expect(opened).toEqual([ID]);
  });

  it("is not offered without a key, or in a browser without it", async () => {
    const keyless = new PushService({
      api: setUp().push as never,
      deviceId: "web-1",
      key: undefined,
      platform: new Browser(),
      storage: { getItem: () => null, setItem: () => undefined, removeItem: () => undefined },
    });
    expect(keyless.available).toBe(false);
    await expect(keyless.begin("en")).rejects.toThrow("no Web Push");
  });
});
