import { beforeEach, describe, expect, it } from "vitest";
import { FakeTokens, settle } from "../../testing/socket";
import { Api } from "./api";
import { Consults } from "./consults";
import type { Role } from "./model";
import { emptyRecords, type Records } from "./records";

type Answer = object | Promise<object>;

const consult = (id: string, state: string, rest: object = {}) => ({
  conversation_id: id,
  customer_id: "cara",
  customer_name: "Cara",
  state,
  opened_at: "2026-11-23T06:00:00Z",
  ...rest,
});
const NOBODY = { consults: [] };

let asked: { what: string; key: string | null; body: unknown }[];
/** By method, path and query; what is not here is not found. */
let answers: Record<string, Answer>;
let joined: string[];
let changes: number;

beforeEach(() => {
  asked = [];
  joined = [];
  changes = 0;
  answers = {};
});

async function fetched(request: Request): Promise<Response> {
  const { pathname, searchParams } = new URL(request.url);
  const state = searchParams.get("state");
  const what = `${request.method} ${pathname.replace("/v1/", "")}${state === null ? "" : ` ${state}`}`;
  const text = await request.text();
  asked.push({ what, key: request.headers.get("Idempotency-Key"), body: text === "" ? undefined : JSON.parse(text) });
  const answer = await answers[what];
  const [body, status] = answer === undefined ? [{ code: "conflict", detail: "taken" }, 409] : [answer, 200];
  return new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json" } });
}

function setUp(role: Role): { records: Records; consults: Consults } {
  const records = emptyRecords({ userId: "dora", name: "Dora", roles: [role] });
  const api = new Api({ url: "https://api", tokens: new FakeTokens(), fetch: fetched });
  const hooks = {
    changed: () => {
      changes += 1;
    },
    joined: (id: string) => void joined.push(id),
    newKey: () => "key-1",
  };
  return { records, consults: new Consults(api, records, hooks) };
}

describe("the queue of consults", () => {
  it("holds who waits and whom this member of the staff has, with their names", async () => {
    const { records, consults } = setUp("doctor");
    answers = {
      "GET consults waiting": { consults: [consult("k1", "waiting")] },
      "GET consults active": { consults: [consult("k2", "active", { assignee_id: "dora" })] },
    };
    await consults.refresh();
    expect([...records.consults.keys()]).toEqual(["k1", "k2"]);
    expect(records.names.get("cara")).toBe("Cara");
    expect(changes).toBe(1);
  });

  it("is nothing that customers ask for", async () => {
    const { consults } = setUp("customer");
    await consults.refresh();
    consults.heard({ conversation_id: "k1", state: "waiting" });
    await settle();
    expect(asked).toEqual([]);
  });

  it("is as the last question found it, also if an earlier answer comes later", async () => {
    const { records, consults } = setUp("consultant");
    let late: (answer: object) => void = () => undefined;
    answers = {
      "GET consults waiting": new Promise<object>((resolve) => {
        late = resolve;
      }),
      "GET consults active": NOBODY,
    };
    const first = consults.refresh();
    await expect.poll(() => asked).toHaveLength(2);
    answers = { "GET consults waiting": { consults: [consult("new", "waiting")] }, "GET consults active": NOBODY };
    await consults.refresh();
    late({ consults: [consult("old", "waiting")] });
    await first;
    expect([...records.consults.keys()]).toEqual(["new"]);
  });

  it("is read anew when a step concerns it, and only then", async () => {
    const { records, consults } = setUp("doctor");
    answers = { "GET consults waiting": NOBODY, "GET consults active": NOBODY };
    consults.heard({ conversation_id: "k9", state: "active", assignee_id: "somebody else" });
    consults.heard({ state: "waiting" });
    await settle();
    expect(asked).toEqual([]);
    records.consults.set("k1", consult("k1", "waiting") as never);
    consults.heard({ conversation_id: "k1", state: "active", assignee_id: "somebody else" });
    await expect.poll(() => records.consults.size).toBe(0);
  });
});

describe("a step of a consult", () => {
  it("opens one under a key, so that a repeat opens no second", async () => {
    const { records, consults } = setUp("customer");
    const conversation = {
      id: "k1",
      kind: "direct",
      owner_id: "dora",
      last_seq: 0,
      read_seq: 0,
      unread_count: 0,
      created_at: "2026-11-23T06:00:00Z",
      last_activity_at: "2026-11-23T06:00:00Z",
    };
    answers = { "POST consults": { conversation, consult: consult("k1", "waiting") } };
    expect(await consults.actions.open("My knee")).toBe("k1");
    expect(asked).toEqual([{ what: "POST consults", key: "key-1", body: { topic: "My knee" } }]);
    expect(records.conversations.get("k1")?.consult?.state).toBe("waiting");
    expect(joined).toEqual(["k1"]);
  });

  it("takes one: it is this user's, and so is the conversation", async () => {
    const { records, consults } = setUp("doctor");
    answers = { "POST conversations/k1/consult/take": consult("k1", "active", { assignee_id: "dora" }) };
    await consults.actions.take("k1");
    expect(records.consults.get("k1")?.assignee_id).toBe("dora");
    expect(joined).toEqual(["k1"]);
  });

  it("changes nothing if somebody else was quicker", async () => {
    const { records, consults } = setUp("doctor");
    await expect(consults.actions.take("k1")).rejects.toMatchObject({ code: "conflict", status: 409 });
    expect([records.consults.size, joined.length, changes]).toEqual([0, 0, 0]);
  });

  it("hands over to somebody, or back into the queue", async () => {
    const { records, consults } = setUp("doctor");
    const path = "POST conversations/k1/consult/hand-over";
    answers = { [path]: consult("k1", "active", { assignee_id: "carl" }) };
    await consults.actions.handOver("k1", "carl");
    expect(records.consults.has("k1")).toBe(false);
    answers = { [path]: consult("k1", "waiting") };
    await consults.actions.handOver("k1", "");
    expect(records.consults.has("k1")).toBe(true);
    expect(asked.map(({ body }) => body)).toEqual([{ user_id: "carl" }, { user_id: null }]);
  });

  it("closes one, which takes it from the queue", async () => {
    const { records, consults } = setUp("doctor");
    records.consults.set("k1", consult("k1", "active", { assignee_id: "dora" }) as never);
    answers = { "POST conversations/k1/consult/close": consult("k1", "closed", { assignee_id: "dora" }) };
    await consults.actions.close("k1");
    expect(records.consults.size).toBe(0);
  });
});
