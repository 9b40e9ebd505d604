import { beforeEach, describe, expect, it } from "vitest";
import { ManualClock, settle } from "../../testing/socket";
import { silentLog } from "../log";
import { ApiError, type Schemas } from "./api";
import { type EventRecord, Keeper } from "./sync";
import { Timelines } from "./timelines";

let clock: ManualClock;
let shown: string[];
let synced: number;
let asked: string[];
let pages: (() => Partial<Schemas["SyncOut"]>)[];
let record: EventRecord;
/** Where the conversation ends. */
let last: number;
let keeper: Keeper;

const envelope = (seq: number) => ({
  subject: "conversation:c",
  seq,
  type: "message.created",
  data: { id: `m${seq}` },
});
const frame = (seq: number) => ({ action: "new_message", stream: "conversation:c", seq, data: { id: `m${seq}` } });
const conversation = (last_seq: number) => ({ id: "c", last_seq }) as Schemas["ConversationOut"];

beforeEach(() => {
  clock = new ManualClock();
  shown = [];
  asked = [];
  synced = 0;
  pages = [];
  last = 6;
  record = {
    sync: async (cursor) => {
      asked.push(`sync ${cursor ?? ""}`);
      return {
        next_cursor: `${cursor ?? "s"}'`,
        has_more: false,
        ...(pages.shift() ?? (() => ({})))(),
      } as Schemas["SyncOut"];
    },
    events: async (_, afterSeq) => {
      asked.push(`events ${afterSeq}`);
      return { events: [envelope(afterSeq + 1)], last_seq: last };
    },
  };
  keeper = new Keeper(
    record,
    new Timelines("me"),
    clock,
    {
      onShow: ({ seq, source }) => shown.push(`${seq} ${source}`),
      onSnapshot: () => undefined,
      onRebased: () => undefined,
      onSynced: () => {
        synced += 1;
      },
    },
    silentLog,
  );
});

async function connected(lastSeq = 3): Promise<void> {
  pages = [() => ({ conversations: [conversation(lastSeq)], user_seq: 0 })];
  keeper.connected(25_000);
  await clock.pass(0);
}

describe("a sync", () => {
  it("takes a snapshot first, and what happened meanwhile behind it", async () => {
    pages = [() => ({ conversations: [conversation(3)], user_seq: 0 }), () => ({ events: [envelope(4)] })];
    keeper.connected(25_000);
    await clock.pass(0);
    expect(shown).toEqual(["4 sync"]);
    // The last one brings nothing: its cursor says that the page before has arrived, and needs no push.
    expect(asked).toEqual(["sync ", "sync s'", "sync s''"]);
    expect(synced).toBe(1);
  });

  it("is repeated soon after connecting, and each interval after that", async () => {
    await connected();
    asked = [];
    await clock.pass(2_000);
    expect(asked).toHaveLength(1);
    await clock.pass(25_000);
    expect(asked).toHaveLength(2);
  });

  it("follows each new socket, so that what was missed meanwhile comes", async () => {
    await connected();
    keeper.disconnected();
    await clock.pass(100_000);
    const before = asked.length;
    pages = [() => ({ events: [envelope(4), envelope(5)] })];
    keeper.connected(25_000);
    await clock.pass(0);
    expect(asked).toHaveLength(before + 2);
    expect(asked.at(-1)).toBe(`${asked.at(-2)}'`);
    expect(shown).toEqual(["4 sync", "5 sync"]);
  });

  it("does not wait for ever for a first socket, and asks until there is an answer", async () => {
    pages = [
      () => {
        throw new ApiError("network", "");
      },
    ];
    keeper.begin();
    await clock.pass(2_999);
    expect(asked).toEqual([]);
    await clock.pass(5_000);
    expect(synced).toBe(1);
    // What was shown once is kept up to date by the next socket.
    asked = [];
    await clock.pass(100_000);
    expect(asked).toEqual([]);
  });

  it("needs no other one when the first socket comes in time", async () => {
    keeper.begin();
    await connected();
    asked = [];
    await clock.pass(1_999);
    keeper.disconnected();
    await clock.pass(100_000);
    expect(asked).toEqual([]);
  });

  it("waits as long as the server asks for, and then some", async () => {
    record.sync = async () => {
      asked.push("sync");
      throw new ApiError("rate_limited", "", 429, 7_000);
    };
    keeper.connected(25_000);
    await clock.pass(6_999);
    expect(asked).toHaveLength(1);
    await clock.pass(501);
    expect(asked).toHaveLength(2);
  });

  it("begins with a snapshot again when the cursor is none of this server's", async () => {
    await connected();
    asked = [];
    pages = [
      () => {
        throw new ApiError("validation_failed", "", 422);
      },
    ];
    keeper.sync();
    await clock.pass(0);
    expect(asked.at(-1)).not.toBe(asked[0]);
    expect(asked[1]).toBe("sync ");
  });
});

describe("a gap", () => {
  it("is filled page by page, and then what waited is shown", async () => {
    await connected();
    keeper.frame(frame(6));
    await settle();
    expect(shown).toEqual(["4 repair", "5 repair", "6 live"]);
  });

  it("is asked about until there is an answer", async () => {
    await connected();
    const answer = record.events;
    let failures = 3;
    last = 5;
    record.events = (id, after) => (failures-- > 0 ? Promise.reject(new ApiError("network", "")) : answer(id, after));
    keeper.frame(frame(5));
    await clock.pass(10_000);
    expect(shown).toEqual(["4 repair", "5 live"]);
  });

  it("is the user's no more when the server refuses it", async () => {
    await connected();
    record.events = () => Promise.reject(new ApiError("not_found", "", 404));
    keeper.frame(frame(6));
    await settle();
    keeper.frame(frame(7));
    expect(shown).toEqual([]);
  });
});

it("shows nothing and leaves no timer when it was stopped", async () => {
  await connected();
  keeper.stop();
  keeper.frame(frame(4));
  expect(shown).toEqual([]);
  expect(clock.timers).toBe(0);
});
