import { afterEach, beforeEach, expect, it } from "vitest";
import { FakeTokens, FakeVisibility, type FakeWorld, fakeWorld, settle } from "../../testing/socket";
import { SocketConnection } from "./core/connection";
import { SharedConnection, type TabChannel, type Tabs } from "./tabs";
import type { ServerFrame } from "./types";

let world: FakeWorld;
let browser: FakeBrowser;
let opened: SharedConnection[];

/** Locks and channels of one browser. */
class FakeBrowser {
  readonly #listeners = new Set<{ from: object; listener: (message: unknown) => void }>();
  #lock: Promise<void> = Promise.resolve();

  tab(): Tabs {
    const self = {};
    return {
      exclusive: (_, signal, work) => {
        this.#lock = this.#lock.then(() => (signal.aborted ? undefined : work()));
        return this.#lock;
      },
      channel: (): TabChannel => ({
        // What is posted is copied, as a browser does: nothing but data gets through.
        post: (message) => {
          const copy = structuredClone(message);
          for (const one of [...this.#listeners]) if (one.from !== self) queueMicrotask(() => one.listener(copy));
        },
        subscribe: (listener) => {
          const entry = { from: self, listener };
          this.#listeners.add(entry);
          return () => void this.#listeners.delete(entry);
        },
        close: () => undefined,
      }),
    };
  }
}

function tab(visibility = new FakeVisibility()): SharedConnection {
  const shared = new SharedConnection({
    name: "natter:anna:chat",
    tabs: browser.tab(),
    clock: world.clock,
    visibility,
    make: (everybody) =>
      new SocketConnection({ ...world, visibility: everybody }, new FakeTokens(), {
        urls: ["wss://a"],
        deviceType: "desktop",
        connectionType: "chat",
      }),
  });
  opened.push(shared);
  return shared;
}

beforeEach(() => {
  world = fakeWorld();
  browser = new FakeBrowser();
  opened = [];
});

afterEach(() => {
  for (const one of opened) one.dispose();
});

async function two(visibility?: FakeVisibility): Promise<[SharedConnection, SharedConnection]> {
  const [first, second] = [tab(visibility), tab()];
  first.connect();
  second.connect();
  await settle();
  world.transport.last.welcome();
  await settle();
  return [first, second];
}

it("gives several tabs one socket, and each of them its state and frames", async () => {
  const [first, second] = await two();
  const seen: ServerFrame[] = [];
  second.onFrame((frame) => seen.push(frame));
  world.transport.last.say("new_message", { id: "1" }, { stream: "conversation:1", seq: 1 });
  await settle();
  expect(world.transport.sockets).toHaveLength(1);
  expect([first.state.status, second.state.status]).toEqual(["connected", "connected"]);
  expect(seen).toEqual([{ action: "new_message", data: { id: "1" }, stream: "conversation:1", seq: 1 }]);
});

it("tells a tab that comes later how things stand", async () => {
  await two();
  const third = tab();
  third.connect();
  await settle();
  expect(third.state.welcome?.edgeId).toBe("edge-1");
});

it("carries a request of another tab to the socket, and its answer or error back to it alone", async () => {
  const [, second] = await two();
  const good = second.ask("mark_read", { seq: 1 });
  const bad = second.ask("mark_read", { seq: 2 });
  await settle();
  const [one, other] = world.transport.last.frames.filter(({ action }) => action === "mark_read");
  world.transport.last.say("ack", { seq: 1 }, { ref: one?.ref });
  world.transport.last.say("error", { code: "rate_limited", message: "", retry_after_ms: 5 }, { ref: other?.ref });
  expect(await good).toEqual({ seq: 1 });
  await expect(bad).rejects.toMatchObject({ code: "rate_limited", retryAfterMs: 5 });
});

it("has another tab lead when the first one is gone, with a new socket: whoever listens syncs", async () => {
  const [first, second] = await two();
  const lost = second.ask("mark_read", {});
  const refused = expect(lost).rejects.toMatchObject({ code: "closed" });
  await settle();
  first.disconnect();
  await settle();
  await refused;
  expect(second.state.status).toBe("connecting");
  expect(world.transport.sockets).toHaveLength(2);
  world.transport.last.welcome({ connection_id: "c2" });
  expect(second.state.welcome?.connectionId).toBe("c2");
  expect(world.transport.alive).toBe(1);
});

it("never opens a socket for a tab that left while it waited", async () => {
  const [first, second] = await two();
  second.disconnect();
  first.disconnect();
  await settle();
  expect(world.transport.sockets).toHaveLength(1);
  expect(world.transport.alive).toBe(0);
});

it("finds a dead socket within 10 s when the tab that leads is hidden and another one is looked at", async () => {
  const hidden = new FakeVisibility();
  hidden.set(false);
  const [, second] = await two(hidden);
  await world.clock.pass(10_000);
  expect(second.state.status).toBe("reconnecting");
});

it("follows the presence of those whom any of the tabs shows", async () => {
  const [first, second] = await two();
  void first.ask("presence_subscribe", { user_ids: ["ben"] }).catch(() => undefined);
  void second.ask("presence_subscribe", { user_ids: ["carol"] }).catch(() => undefined);
  await settle();
  const asked = world.transport.last.frames.filter(({ action }) => action === "presence_subscribe");
  expect(asked.map(({ data }) => data.user_ids)).toEqual([["ben"], ["carol", "ben"]]);
});

it("is idle for the server only when nobody sits before any of the tabs", async () => {
  const [first, second] = await two();
  const told = () =>
    world.transport.last.frames.filter(({ action }) => action === "activity").map(({ data }) => data.active);
  first.setActive(false);
  await settle();
  expect(told()).toEqual([]);
  second.setActive(false);
  await settle();
  expect(told()).toEqual([false]);
});
