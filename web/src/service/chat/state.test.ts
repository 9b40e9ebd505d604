import "fake-indexeddb/auto";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ChatServer } from "../../testing/chatServer";
import type { ScriptedConnection } from "../../testing/connection";
import { FakeTokens, ManualClock } from "../../testing/socket";
import { logLine } from "../log";
import { Api } from "./api";
import type { ChatSnapshot, MessageView } from "./model";
import type { Exclusive, OutboxNews, OutboxPeers } from "./outbox";
import { memoryStorage, type OutboxStorage, openStorage } from "./outboxStorage";
import { type ChatSession, createChatStore } from "./state";
import { Uploads, type UploadTransport } from "./uploads";

const ANNA = { userId: "anna", name: "Anna", roles: ["customer" as const] };
const C = "c1";

let server: ChatServer;
let clock: ManualClock;
let stores: ChatSession[];
let upload: UploadTransport;
let revoked: string[];
/** What the log has. */
let lines: string[];

interface Tab {
  readonly store: ChatSession;
  readonly connection: ScriptedConnection;
}

function tab(
  storage: OutboxStorage = memoryStorage(),
  shared: { peers?: OutboxPeers; exclusive?: Exclusive } = {},
): Tab {
  const tokens = new FakeTokens();
  const connection = server.connect();
  const store = createChatStore({
    me: ANNA,
    connection,
    api: new Api({ url: "https://api", tokens, fetch: server.fetch }),
    uploads: new Uploads({ url: "https://api", tokens, send: (request) => upload(request) }),
    clock,
    storage,
    log: (stage, fields) => void lines.push(logLine(stage, fields)),
    urls: { create: (blob) => `blob:${blob.size}`, revoke: (url) => void revoked.push(url) },
    ...shared,
  });
  stores.push(store);
  store.run();
  return { store, connection };
}

/** One turn of the event loop; a timer would make it a millisecond. Node has it, and the types of this project do not. */
function turnOfLoop(): Promise<void> {
  const node = globalThis as unknown as { setImmediate(then: () => void): void };
  return new Promise((resolve) => node.setImmediate(resolve));
}

/** Whatever can go on does so, also what needs a real turn of the event loop: requests, and the database. */
async function rest(ms = 0): Promise<void> {
  for (let turn = 0; turn < 12; turn += 1) {
    await turnOfLoop();
    await clock.pass(0);
  }
  if (ms > 0) {
    await clock.pass(ms);
    await rest();
  }
}

async function opened(storage?: OutboxStorage): Promise<Tab> {
  const one = tab(storage);
  one.connection.connect();
  await rest();
  one.store.open(C);
  await rest();
  return one;
}

const timeline = (store: ChatSession) => store.snapshot().timelines[C]?.messages ?? [];
const texts = (store: ChatSession) => timeline(store).map((message) => message.content);
const last = (store: ChatSession) => timeline(store).at(-1) as MessageView;
const only = (snapshot: ChatSnapshot) => snapshot.conversations.find((one) => one.id === C);

beforeEach(() => {
  server = new ChatServer();
  clock = new ManualClock();
  stores = [];
  revoked = [];
  lines = [];
  upload = async () => ({
    status: 201,
    text: JSON.stringify({ id: "file1", name: "a.png", media_type: "image/png", size_bytes: 3 }),
    retryAfter: null,
  });
});

afterEach(() => {
  for (const store of stores) store.stop();
});

describe("the log", () => {
  const stages = (word: string) => lines.filter((line) => line.includes(word)).map((line) => line.split(" ")[1]);

  it("has a line for each stage of a message's way to the component", async () => {
    const { store } = await opened();
    lines = [];
    server.say("ben", "Hello");
    await rest();
    store.drawn({ id: last(store).id, conversationId: C, seq: last(store).seq });
    expect(stages(`seq=${last(store).seq}`)).toEqual(["received", "merged", "stored", "rendered"]);
    expect(lines.join()).not.toContain("Hello");
  });

  it("has a line for each stage of a file's way to the server", async () => {
    const { store } = await opened();
    lines = [];
    store.send(C, { text: "", file: new File(["abc"], "a.png", { type: "image/png" }) });
    await rest();
    const key = last(store).clientMsgId ?? "none";
    expect(stages(key)).toEqual(["outbox", "upload", "upload", "outbox"]);
  });
});

describe("what is shown", () => {
  it("is not known before the first sync, and then the list with its people", async () => {
    server.say("ben", "Hello");
    const { store, connection } = tab();
    expect(store.snapshot()).toMatchObject({ ready: false, conversations: [], status: "idle" });
    connection.connect();
    await rest(1_000);
    expect(only(store.snapshot())).toMatchObject({ title: "Ben", unread: 1, last: { content: "Hello" } });
    expect(only(store.snapshot())?.people.map((person) => person.name)).toEqual(["Anna", "Ben"]);
    expect(only(store.snapshot())?.people[1]).toMatchObject({ online: true, devices: ["mobile"] });
  });

  it("goes on live, and counts what is not read", async () => {
    const { store } = await opened();
    server.say("ben", "one");
    server.say("ben", "two");
    await rest();
    expect(texts(store)).toEqual(["one", "two"]);
    expect(only(store.snapshot())?.unread).toBe(2);
    store.markRead(C, 2);
    expect(only(store.snapshot())?.unread).toBe(0);
    await rest();
    expect(server.reads).toEqual([2]);
  });

  it("has everything once and in order after the connection was away", async () => {
    const { store, connection } = await opened();
    server.say("ben", "one");
    connection.disconnect();
    server.say("ben", "two");
    server.say("ben", "three");
    await rest();
    expect(texts(store)).toEqual(["one"]);
    expect(store.snapshot().status).toBe("reconnecting");
    connection.connect();
    await rest();
    expect(texts(store)).toEqual(["one", "two", "three"]);
    expect(only(store.snapshot())?.unread).toBe(3);
  });

  it("asks a reconnecting server for the people of what is looked at alone, not of the whole list", async () => {
    server.say("ben", "one");
    const { store, connection } = tab();
    connection.connect();
    await rest();
    const reads = () => server.requests.filter((request) => request === `GET /v1/conversations/${C}`).length;
    const before = reads();
    connection.disconnect();
    connection.connect();
    await rest();
    expect(reads()).toBe(before);
    store.open(C);
    await rest();
    connection.disconnect();
    connection.connect();
    await rest();
    expect(reads()).toBe(before + 2);
  });

  it("has what a lost frame would have told as soon as the next one betrays it", async () => {
    const { store } = await opened();
    server.live = false;
    server.say("ben", "lost");
    server.live = true;
    server.say("ben", "seen");
    await rest();
    expect(texts(store)).toEqual(["lost", "seen"]);
  });

  it("loads older pages in front, without a repeat", async () => {
    for (let n = 1; n <= 120; n += 1) server.say("ben", `${n}`);
    const { store } = await opened();
    expect(timeline(store)).toHaveLength(50);
    expect(store.snapshot().timelines[C]?.hasOlder).toBe(true);
    await store.loadOlder(C);
    await store.loadOlder(C);
    await rest();
    expect(texts(store)).toEqual(Array.from({ length: 120 }, (_, n) => `${n + 1}`));
    expect(store.snapshot().timelines[C]?.hasOlder).toBe(false);
  });

  it("shows an edit and a deletion in their place, whichever way they come first", async () => {
    const { store } = await opened();
    store.send(C, { text: "first" });
    await rest();
    await store.edit(last(store).id, "better");
    expect(last(store)).toMatchObject({ content: "better", edited: true });
    await store.remove(last(store).id);
    await rest();
    expect(last(store)).toMatchObject({ content: "", deleted: true });
    expect(timeline(store)).toHaveLength(1);
  });

  it("changes identity exactly where something changed", async () => {
    server.say("ben", "one");
    const { store } = await opened();
    const told = vi.fn();
    store.subscribe(told);
    const before = store.snapshot();
    server.frame({ action: "of_the_future", data: {} });
    await rest();
    expect(store.snapshot()).toBe(before);
    expect(told).not.toHaveBeenCalled();
    server.say("ben", "two");
    await rest();
    expect(timeline(store)[0]).toBe(before.timelines[C]?.messages[0]);
    expect(store.snapshot().timelines[C]).not.toBe(before.timelines[C]);
    expect(store.snapshot().me).toBe(before.me);
    expect(told).toHaveBeenCalledOnce();
  });

  it("tells who types, and forgets it when the connection goes", async () => {
    const { store, connection } = await opened();
    server.frame({ action: "typing", data: { conversation_id: C, user_id: "ben", is_typing: true } });
    await rest();
    expect(only(store.snapshot())?.typing).toEqual(["ben"]);
    connection.disconnect();
    await rest();
    expect(only(store.snapshot())?.typing).toEqual([]);
  });
});

describe("a message of one's own", () => {
  it("is there at once, keeps its key, and goes from sending to sent to delivered to read", async () => {
    const { store } = await opened();
    store.send(C, { text: "Hello" });
    const { key } = last(store);
    expect(last(store)).toMatchObject({ content: "Hello", progress: "sending", mine: true });
    await rest();
    expect(last(store)).toMatchObject({ key, id: "m1", progress: "sent" });
    server.frame({ action: "delivered", data: { conversation_id: C, user_id: "ben", seq: 1 } });
    await rest();
    expect(last(store).progress).toBe("delivered");
    server.frame({ action: "read", data: { conversation_id: C, user_id: "ben", seq: 1 } });
    await rest();
    expect(last(store)).toMatchObject({ key, progress: "read" });
    expect(timeline(store)).toHaveLength(1);
  });

  it("is sent once when the socket dies before the answer: over HTTP, under the same id", async () => {
    const { store, connection } = await opened();
    connection.mute = true;
    store.send(C, { text: "once" });
    await rest(1_000);
    expect(server.messages.map((message) => message.content)).toEqual(["once"]);
    expect(server.requests).toContain(`POST /v1/conversations/${C}/messages`);
    expect(timeline(store)).toHaveLength(1);
    expect(last(store).progress).toBe("sent");
  });

  it("leaves in the order of the calls, also when the first one has a hard time", async () => {
    const { store, connection } = await opened();
    connection.disconnect();
    server.failure = "network";
    store.send(C, { text: "one" });
    store.send(C, { text: "two" });
    await rest(3_000);
    expect(server.messages.map((message) => message.content)).toEqual(["one", "two"]);
  });

  it("has failed when the server refuses it, holds nobody back, and is sent when the user tries again", async () => {
    const { store, connection } = await opened();
    connection.disconnect();
    server.failure = { status: 422, code: "validation_failed" };
    store.send(C, { text: "bad" });
    store.send(C, { text: "good" });
    await rest(3_000);
    const failed = timeline(store).find((message) => message.content === "bad");
    expect(failed).toMatchObject({ progress: "failed", failure: "validation_failed" });
    expect(server.messages.map((message) => message.content)).toEqual(["good"]);
    store.retry(failed?.key ?? "");
    await rest(3_000);
    expect(server.messages.map((message) => message.content)).toEqual(["good", "bad"]);
  });

  it("is gone when the user gives it up", async () => {
    const { store, connection } = await opened();
    connection.disconnect();
    server.failure = { status: 422, code: "validation_failed" };
    store.send(C, { text: "bad" });
    await rest();
    store.discard(last(store).key);
    expect(texts(store)).toEqual([]);
  });
});

describe("a reload of the tab", () => {
  it("loses no message, and sends it once", async () => {
    const first = tab(await openStorage("reload"));
    server.failure = "network";
    first.store.send(C, { text: "kept" });
    await rest();
    first.store.stop();
    expect(server.messages).toEqual([]);
    const second = await opened(await openStorage("reload"));
    await rest(5_000);
    expect(texts(second.store)).toEqual(["kept"]);
    expect(server.messages).toHaveLength(1);
  });

  it("between commit and answer sends nothing twice, and shows it once", async () => {
    const first = await opened(await openStorage("between"));
    first.connection.mute = true;
    first.store.send(C, { text: "once" });
    await turnOfLoop();
    first.store.stop();
    const second = await opened(await openStorage("between"));
    await rest(5_000);
    expect(server.messages).toHaveLength(1);
    expect(texts(second.store)).toEqual(["once"]);
    expect(last(second.store).progress).toBe("sent");
  });

  it("keeps one user's messages from the next one who signs in", async () => {
    const storage = await openStorage("users");
    await storage.put({
      id: "1",
      userId: "ben",
      conversationId: C,
      kind: "text",
      content: "Ben's",
      at: 0,
      important: false,
      internal: false,
    });
    const { store } = await opened(storage);
    await rest(1_000);
    expect(texts(store)).toEqual([]);
    expect(server.messages).toEqual([]);
  });
});

describe("several tabs", () => {
  it("send a message once, and all of them show it", async () => {
    const hub = new Set<(news: OutboxNews, from: object) => void>();
    let held: Promise<void> = Promise.resolve();
    const exclusive: Exclusive = (_, __, work) => {
      held = held.then(work);
      return held;
    };
    const peers = (): OutboxPeers => {
      const self = {};
      return {
        tell: (news) =>
          queueMicrotask(() => {
            for (const listener of hub) listener(news, self);
          }),
        subscribe: (listener) => {
          const own = (news: OutboxNews, from: object) => from !== self && listener(news);
          hub.add(own);
          return () => void hub.delete(own);
        },
      };
    };
    const one = tab(await openStorage("tabs"), { peers: peers(), exclusive });
    const two = tab(await openStorage("tabs"), { peers: peers(), exclusive });
    for (const { connection, store } of [one, two]) {
      connection.connect();
      await rest();
      store.open(C);
    }
    await rest();
    two.store.send(C, { text: "from two" });
    await rest(1_000);
    const asked = [...one.connection.sent, ...two.connection.sent].filter(({ action }) => action === "send_message");
    expect(asked).toHaveLength(1);
    expect([texts(one.store), texts(two.store)]).toEqual([["from two"], ["from two"]]);
    one.store.stop();
    two.store.send(C, { text: "alone" });
    await rest(1_000);
    expect(texts(two.store)).toEqual(["from two", "alone"]);
  });
});

describe("files", () => {
  it("go up with progress, once, and are carried by the message", async () => {
    const { store, connection } = await opened();
    let progress: (part: number) => void = () => undefined;
    let finish: () => void = () => undefined;
    const keys: (string | undefined)[] = [];
    const answer = upload;
    upload = (request) => {
      keys.push(request.headers["Idempotency-Key"]);
      progress = request.onProgress;
      return new Promise((resolve) => {
        finish = () => resolve(answer(request));
      });
    };
    store.send(C, { text: "", file: new File(["abc"], "a.png", { type: "image/png" }) });
    await rest();
    progress(0.5);
    await rest();
    expect(last(store)).toMatchObject({ kind: "image", upload: 0.5, content: "", attachment: { name: "a.png" } });
    finish();
    await rest();
    expect(last(store).progress).toBe("sent");
    expect(connection.sent.at(-1)?.data).toMatchObject({
      message_type: "image",
      attachment_id: "file1",
      content: "a.png",
    });
    expect(keys).toEqual([last(store).key]);
  });

  it("are read once for all who show them, and freed by the last", async () => {
    const { store } = await opened();
    server.failure = undefined;
    const blob = new Response("abcd");
    const fetch = vi.spyOn(server, "fetch");
    fetch.mockImplementation(async () => blob);
    const again = tab().store;
    const [one, two] = await Promise.all([again.attachmentUrl("f"), again.attachmentUrl("f")]);
    expect([one, two]).toEqual(["blob:4", "blob:4"]);
    again.release("f");
    await rest();
    expect(revoked).toEqual([]);
    again.release("f");
    await rest();
    expect(revoked).toEqual(["blob:4"]);
    store.stop();
  });
});

describe("signals of one's own", () => {
  it("say that somebody types at most each 3 s, and take it back when nothing more is typed", async () => {
    const { store, connection } = await opened();
    const typed = () => connection.sent.filter(({ action }) => action === "typing").map(({ data }) => data.is_typing);
    for (let key = 0; key < 40; key += 1) {
      store.typing(C);
      await clock.pass(100);
    }
    expect(typed()).toEqual([true, true]);
    await clock.pass(4_000);
    expect(typed()).toEqual([true, true, false]);
  });

  it("keep what was read until the server knows it", async () => {
    server.say("ben", "one");
    const { store, connection } = await opened();
    connection.disconnect();
    server.failure = "network";
    store.markRead(C, 1);
    await rest();
    connection.connect();
    await rest();
    expect(server.reads).toEqual([1]);
  });
});
