import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FakeTokens, type FakeWorld, fakeWorld, settle } from "../../../testing/socket";
import type { ServerFrame } from "../types";
import { SocketConnection } from "./connection";
import { SignedOut } from "./errors";

let world: FakeWorld;
let tokens: FakeTokens;
let connection: SocketConnection;

function make(urls = ["wss://a/v1/ws"]): SocketConnection {
  return new SocketConnection(world, tokens, { urls, deviceType: "desktop", deviceId: "d1", connectionType: "chat" });
}

beforeEach(() => {
  world = fakeWorld();
  tokens = new FakeTokens();
  connection = make();
});

afterEach(() => connection.dispose());

async function connected(): Promise<void> {
  connection.connect();
  await settle();
  world.transport.last.welcome();
}

describe("connecting", () => {
  it("offers the token as a subprotocol and never in the address", async () => {
    connection.connect();
    await settle();
    expect(world.transport.last.protocols).toEqual(["natter.v1", "bearer.token-1"]);
    expect(world.transport.last.url).toBe("wss://a/v1/ws?device_type=desktop&connection_type=chat&device_id=d1");
  });

  it("is connected with the first frame, not with the open socket", async () => {
    connection.connect();
    expect(connection.state.status).toBe("connecting");
    await settle();
    world.transport.last.open();
    expect(connection.state.status).toBe("connecting");
    world.transport.last.welcome();
    expect(connection.state.status).toBe("connected");
    expect(connection.state.welcome?.edgeId).toBe("edge-1");
  });

  it("never has two sockets when a page mounts twice, as StrictMode does", async () => {
    connection.connect();
    connection.disconnect();
    connection.connect();
    await settle();
    expect(world.transport.sockets).toHaveLength(1);
  });

  it("closes a socket whose `connected` comes after the page was left", async () => {
    connection.connect();
    await settle();
    connection.disconnect();
    world.transport.last.welcome();
    expect(connection.state.status).toBe("idle");
    expect(world.transport.alive).toBe(0);
  });

  it("never has two sockets when pages are switched quickly while replies are slow", async () => {
    for (let page = 0; page < 5; page += 1) {
      connection.connect();
      await settle();
      expect(world.transport.alive).toBe(1);
      connection.disconnect();
      expect(world.transport.alive).toBe(0);
    }
    connection.connect();
    await settle();
    for (const socket of world.transport.sockets) if (socket.closed === undefined) socket.welcome();
    expect(world.transport.alive).toBe(1);
    expect(connection.state.status).toBe("connected");
  });

  it("opens no socket for a token that came after the page was left", async () => {
    connection.connect();
    connection.disconnect();
    await settle();
    expect(world.transport.sockets).toHaveLength(0);
  });

  it("gives up an attempt after 20 s without `connected`, and makes another one", async () => {
    connection.connect();
    await settle();
    world.transport.last.open();
    await world.clock.pass(19_999);
    expect(connection.state.status).toBe("connecting");
    await world.clock.pass(1);
    expect(connection.state.status).toBe("reconnecting");
    expect(world.transport.alive).toBe(0);
    await world.clock.pass(2_000);
    expect(world.transport.sockets).toHaveLength(2);
  });

  it("asks the next edge after each attempt", async () => {
    connection = make(["wss://a", "wss://b"]);
    connection.connect();
    await settle();
    world.transport.last.end();
    await world.clock.pass(2_000);
    expect(world.transport.sockets.map((socket) => new URL(socket.url).host)).toEqual(["a", "b"]);
  });

  it("takes an address that is none for a failed attempt", async () => {
    world.transport.open = () => {
      throw new SyntaxError("no address");
    };
    connection.connect();
    await settle();
    expect(connection.state.status).toBe("reconnecting");
  });

  it("leaves no timer and no listener behind", async () => {
    await connected();
    connection.disconnect();
    expect(world.clock.timers).toBe(0);
    expect(world.network.listeners + world.visibility.listeners).toBe(0);
  });
});

describe("coming back", () => {
  it("doubles the ceiling of a wait with full jitter, up to 30 s", async () => {
    connection.connect();
    await settle();
    for (const wait of [2_000, 4_000, 8_000, 16_000, 30_000, 30_000]) {
      world.transport.last.end(1006);
      expect(connection.state.retryAt).toBeCloseTo(world.clock.wall() + wait, -2);
      await world.clock.pass(wait);
    }
    expect(world.transport.sockets).toHaveLength(7);
  });

  it("draws the wait from the whole range between 0 and the ceiling", async () => {
    world.clock.lots = [0];
    connection.connect();
    await settle();
    world.transport.last.end();
    await world.clock.pass(0);
    expect(world.transport.sockets).toHaveLength(2);
  });

  it("is offline after 15 failed attempts, and tries about once a minute from then on", async () => {
    connection.connect();
    await settle();
    for (let attempt = 0; attempt < 15; attempt += 1) {
      world.transport.last.end();
      expect(connection.state.status).toBe("reconnecting");
      await world.clock.pass((connection.state.retryAt ?? 0) - world.clock.wall() + 1);
    }
    world.transport.last.end();
    expect(connection.state.status).toBe("offline");
    await world.clock.pass(47_000);
    expect(world.transport.sockets).toHaveLength(16);
    await world.clock.pass(25_001);
    expect(world.transport.sockets).toHaveLength(17);
    world.transport.last.welcome();
    expect(connection.state.status).toBe("connected");
  });

  it("begins a new series only after a connection that lasted", async () => {
    await connected();
    world.transport.last.end();
    expect(connection.state.attempt).toBe(1);
    await world.clock.pass(2_000);
    world.transport.last.welcome();
    await world.clock.pass(1_000);
    world.transport.last.end();
    expect(connection.state.attempt).toBe(2);
    await world.clock.pass(4_000);
    world.transport.last.welcome();
    await world.clock.pass(5_000);
    world.transport.last.say("pong");
    await world.clock.pass(5_000);
    expect(connection.state.attempt).toBe(0);
  });

  it.each([
    [4400, "bad_frame"],
    [4403, "forbidden"],
    [4409, "replaced"],
    [4413, "frame_too_big"],
  ])("does not come back after %i", async (code, name) => {
    await connected();
    world.transport.last.end(code);
    expect(connection.state).toMatchObject({ status: "failed", failure: { code: name, closeCode: code } });
    await world.clock.pass(600_000);
    expect(world.transport.sockets).toHaveLength(1);
  });

  it.each([1001, 1002, 1006, 1007, 1009, 1011, 1012, 4408, 4429])(
    "comes back after %i with the same token",
    async (code) => {
      await connected();
      world.transport.last.end(code);
      await world.clock.pass(4_000);
      expect(world.transport.sockets).toHaveLength(2);
      expect(world.transport.last.protocols[1]).toBe("bearer.token-1");
    },
  );

  it("waits at least 2 s after 4429, and does not hurry for anything", async () => {
    world.clock.lots = [0];
    await connected();
    world.transport.last.end(4429);
    world.visibility.set(true);
    await world.clock.pass(1_999);
    expect(world.transport.sockets).toHaveLength(1);
    await world.clock.pass(1);
    expect(world.transport.sockets).toHaveLength(2);
  });

  it("comes back with a fresh token after 4401", async () => {
    await connected();
    world.transport.last.end(4401);
    await world.clock.pass(2_000);
    expect(world.transport.last.protocols[1]).toBe("bearer.token-2");
  });

  it("has failed when nobody is signed in any more, and opens no socket", async () => {
    tokens.error = new SignedOut();
    connection.connect();
    await settle();
    expect(connection.state).toMatchObject({ status: "failed", failure: { code: "signed_out" } });
    expect(world.transport.sockets).toHaveLength(0);
  });

  it("tries again when a token is not to be had for the moment", async () => {
    tokens.error = new Error("network");
    connection.connect();
    await settle();
    tokens.error = undefined;
    await world.clock.pass(2_000);
    expect(world.transport.sockets).toHaveLength(1);
  });

  it("starts anew when it is asked to after it has failed", async () => {
    await connected();
    world.transport.last.end(4409);
    connection.connect();
    await settle();
    world.transport.last.welcome();
    expect(connection.state.status).toBe("connected");
  });
});

describe("moving to another edge", () => {
  it("opens the new socket first, at the moment that the server gave, and closes the old one after", async () => {
    await connected();
    const [old] = world.transport.sockets;
    old?.say("reconnect", { after_ms: 3_000 });
    await world.clock.pass(2_999);
    expect(world.transport.sockets).toHaveLength(1);
    await world.clock.pass(1);
    expect(world.transport.sockets).toHaveLength(2);
    expect(old?.closed).toBeUndefined();
    expect(connection.state.status).toBe("connected");
    world.transport.last.welcome({ edge_id: "edge-2" });
    expect(old?.closed).toBe(1000);
    expect(connection.state.welcome?.edgeId).toBe("edge-2");
  });

  it("is not replaced by itself when the old socket is closed with 4409", async () => {
    await connected();
    const [old] = world.transport.sockets;
    old?.say("reconnect", { after_ms: 0 });
    await world.clock.pass(0);
    old?.end(4409);
    world.transport.last.welcome();
    expect(connection.state.status).toBe("connected");
  });

  it("waits for its moment when the old edge closes before", async () => {
    await connected();
    world.transport.last.say("reconnect", { after_ms: 5_000 });
    world.transport.last.end(1012);
    await world.clock.pass(4_999);
    expect(world.transport.sockets).toHaveLength(1);
    await world.clock.pass(1);
    expect(world.transport.sockets).toHaveLength(2);
  });

  it("keeps the deaf edge as the worse of two places while there is no other", async () => {
    await connected();
    const [old] = world.transport.sockets;
    old?.say("reconnect", { after_ms: 0 });
    await world.clock.pass(0);
    world.transport.last.end(1006);
    expect(connection.state.status).toBe("connected");
    await world.clock.pass(2_000);
    old?.say("pong");
    world.transport.last.welcome({ edge_id: "edge-2" });
    expect(connection.state.welcome?.edgeId).toBe("edge-2");
    expect(world.transport.alive).toBe(1);
  });
});

describe("a connection that is gone without a word", () => {
  it("is found within 10 s while somebody looks", async () => {
    await connected();
    await world.clock.pass(5_000);
    expect(world.transport.last.pings).toBe(1);
    await world.clock.pass(4_000);
    expect(connection.state.status).toBe("reconnecting");
    expect(world.transport.alive).toBe(0);
  });

  it("stays as long as pings are answered", async () => {
    await connected();
    for (let round = 0; round < 20; round += 1) {
      await world.clock.pass(5_000);
      world.transport.last.say("pong");
    }
    expect(world.transport.sockets).toHaveLength(1);
    expect(connection.state.status).toBe("connected");
  });

  it("is asked once per heartbeat interval while nobody looks", async () => {
    world.visibility.set(false);
    await connected();
    await world.clock.pass(44_999);
    expect(world.transport.last.pings).toBe(0);
    await world.clock.pass(1);
    expect(world.transport.last.pings).toBe(1);
  });

  it("is asked at once when somebody looks again", async () => {
    world.visibility.set(false);
    await connected();
    await world.clock.pass(20_000);
    world.visibility.set(true);
    expect(world.transport.last.pings).toBe(1);
  });

  it("is asked at once after sleep, and a healthy socket is not killed", async () => {
    await connected();
    await world.clock.pass(5_000);
    expect(world.transport.last.pings).toBe(1);
    world.clock.sleep(3_600_000);
    await world.clock.pass(4_000);
    expect(connection.state.status).toBe("connected");
    expect(world.transport.last.pings).toBe(2);
    world.transport.last.say("pong");
    await world.clock.pass(4_000);
    expect(connection.state.status).toBe("connected");
  });

  it("is dropped after sleep if the second question has no answer either, however late the timers are", async () => {
    await connected();
    await world.clock.pass(5_000);
    world.clock.sleep(60_000);
    await world.clock.pass(4_000);
    world.clock.sleep(60_000);
    await world.clock.pass(4_000);
    expect(connection.state.status).toBe("reconnecting");
  });
});

describe("what the browser says of its network", () => {
  it("is shown at once, and kills no socket", async () => {
    await connected();
    world.network.set(false);
    expect(connection.state.status).toBe("offline");
    expect(world.transport.alive).toBe(1);
    world.transport.last.say("typing");
    expect(connection.state.status).toBe("connected");
  });

  it("leads to a ping, not to a new socket, when it is back and the socket is still there", async () => {
    await connected();
    world.network.set(false);
    world.network.set(true);
    expect(world.transport.last.pings).toBe(1);
    world.transport.last.say("pong");
    expect(connection.state.status).toBe("connected");
    expect(world.transport.sockets).toHaveLength(1);
  });

  it("leads to an attempt at once when it is back and the socket is gone", async () => {
    await connected();
    await world.clock.pass(3_000);
    world.network.set(false);
    world.transport.last.end();
    expect(connection.state.status).toBe("offline");
    world.network.set(true);
    await settle();
    expect(world.transport.sockets).toHaveLength(2);
  });

  it("makes no storm when it flaps", async () => {
    await connected();
    await world.clock.pass(3_000);
    world.transport.last.end();
    for (let flap = 0; flap < 50; flap += 1) {
      world.network.set(false);
      world.network.set(true);
      await settle();
    }
    expect(world.transport.sockets).toHaveLength(2);
  });
});

describe("a hidden page", () => {
  it("waits longer than one that is looked at, and never tries at once", async () => {
    await connected();
    world.visibility.set(false);
    world.clock.lots = [0];
    world.transport.last.end();
    await world.clock.pass(1_999);
    expect(world.transport.sockets).toHaveLength(1);
    await world.clock.pass(1);
    expect(world.transport.sockets).toHaveLength(2);
  });

  it("comes back at once when somebody looks", async () => {
    await connected();
    world.visibility.set(false);
    await world.clock.pass(3_000);
    world.transport.last.end();
    world.visibility.set(true);
    await settle();
    expect(world.transport.sockets).toHaveLength(2);
  });
});

describe("frames", () => {
  it("passes on what it understood, also actions that nobody knows, and survives what it did not", async () => {
    const seen: ServerFrame[] = [];
    connection.onFrame((frame) => seen.push(frame));
    await connected();
    for (const text of ["", "[]", "null", '{"data":{}}', '{"action":7}', "{"]) world.transport.last.text(text);
    world.transport.last.say("of_the_future", { x: 1 });
    world.transport.last.say("new_message", {}, { stream: "conversation:1", seq: 0 });
    expect(seen.map((frame) => frame.action)).toEqual(["connected", "of_the_future", "new_message"]);
    expect(seen[2]?.stream).toBeUndefined();
    expect(connection.state.status).toBe("connected");
  });

  it("keeps tokens out of what a developer sees", async () => {
    const raw: string[] = [];
    connection.onRaw((frame) => raw.push(frame.text));
    await connected();
    void connection.ask("refresh_token", { token: 'se"cret' }).catch(() => undefined);
    expect(raw.join()).toContain("refresh_token");
    expect(raw.join()).not.toContain("cret");
  });

  it("tells the server on each socket that nobody sits there", async () => {
    connection.setActive(false);
    await connected();
    expect(world.transport.last.frames).toMatchObject([{ action: "activity", data: { active: false } }]);
  });
});
