import { afterEach, beforeEach, expect, it } from "vitest";
import { ChatServer } from "../../testing/chatServer";
import type { ScriptedConnection } from "../../testing/connection";
import { FakeTokens, ManualClock } from "../../testing/socket";
import { silentLog } from "../log";
import { Api } from "./api";
import { memoryStorage } from "./outboxStorage";
import { type ChatSession, createChatStore } from "./state";
import { Uploads } from "./uploads";

/** The notes about a conversation lie in another one, which only the staff is told of. */
const [C, NOTES] = ["c1", "n1"];

let clock: ManualClock;
let server: ChatServer;
let connection: ScriptedConnection;
let store: ChatSession;
let notes: object[];

async function fetched(request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  const json = (body: object) =>
    new Response(JSON.stringify(body), { headers: { "Content-Type": "application/json" } });
  if (pathname === `/v1/conversations/${NOTES}/messages`) return json({ messages: notes, last_seq: notes.length });
  if (pathname !== `/v1/conversations/${C}/notes`) return server.fetch(request);
  const { client_msg_id, content } = await request.json();
  const note = {
    id: `note${notes.length + 1}`,
    conversation_id: NOTES,
    seq: notes.length + 1,
    sender_id: "anna",
    sender_type: "chat",
    message_type: "text",
    created_at: new Date(clock.wall()).toISOString(),
    client_msg_id,
    content,
  };
  notes.push(note);
  return json(note);
}

/** Whatever can go on does so, also what needs a real turn of the event loop. */
async function rest(): Promise<void> {
  const node = globalThis as unknown as { setImmediate(then: () => void): void };
  for (let turn = 0; turn < 12; turn += 1) {
    await new Promise<void>((resolve) => node.setImmediate(resolve));
    await clock.pass(0);
  }
}

beforeEach(async () => {
  clock = new ManualClock();
  server = new ChatServer();
  notes = [];
  server.say("ben", "My knee hurts");
  connection = server.connect();
  const tokens = new FakeTokens();
  store = createChatStore({
    me: { userId: "anna", name: "Anna", roles: ["doctor"] },
    connection,
    api: new Api({ url: "https://api", tokens, fetch: fetched }),
    uploads: new Uploads({ url: "https://api", tokens, send: () => Promise.reject(new Error("no files here")) }),
    clock,
    storage: memoryStorage(),
    log: silentLog,
    urls: { create: () => "blob:", revoke: () => undefined },
  });
  store.run();
  connection.connect();
  await rest();
  store.open(C);
  await rest();
});

afterEach(() => store.stop());

const shown = () =>
  (store.snapshot().timelines[C]?.messages ?? []).map(({ content, internal, progress }) => [
    content,
    internal,
    progress,
  ]);

it("an internal note goes to the staff's conversation, never to the one that it is about", async () => {
  store.send(C, { text: "Ask for an X-ray", internal: true });
  await rest();
  expect(notes).toMatchObject([{ content: "Ask for an X-ray" }]);
  expect(server.messages.map(({ content }) => content)).toEqual(["My knee hurts"]);
  expect(connection.sent.filter(({ action }) => action === "send_message")).toEqual([]);
});

it("a note is shown where it was written, at once, and marked as one", async () => {
  store.send(C, { text: "Ask for an X-ray", internal: true });
  expect(shown().at(-1)).toEqual(["Ask for an X-ray", true, "sending"]);
  await rest();
  expect(shown().filter(([, internal]) => internal)).toEqual([["Ask for an X-ray", true, "sent"]]);
});

it("the list of conversations shows neither notes nor their conversation", async () => {
  store.send(C, { text: "Ask for an X-ray", internal: true });
  await rest();
  const { conversations } = store.snapshot();
  expect(conversations.map(({ id }) => id)).toEqual([C]);
  expect(conversations[0]?.last?.content).toBe("My knee hurts");
});

it("what colleagues noted before is read with the first note", async () => {
  const earlier = { id: "note0", conversation_id: NOTES, seq: 1, sender_id: "carl", sender_type: "chat" };
  notes.push({ ...earlier, message_type: "text", content: "Allergic", created_at: "2026-01-01T00:00:00Z" });
  store.send(C, { text: "Ask for an X-ray", internal: true });
  await rest();
  const internal = shown().filter(([, note]) => note);
  expect(internal.map(([content]) => content)).toEqual(["Allergic", "Ask for an X-ray"]);
});
