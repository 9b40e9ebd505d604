import { beforeEach, describe, expect, it } from "vitest";
import { FakeTokens, type FakeWorld, fakeWorld } from "../../testing/socket";
import { SocketConnection } from "./core/connection";
import { FaultyWorld } from "./faults";

let world: FakeWorld;
let faulty: FaultyWorld;
let connection: SocketConnection;

beforeEach(async () => {
  world = fakeWorld();
  faulty = new FaultyWorld(world);
  connection = new SocketConnection(faulty, new FakeTokens(), {
    urls: ["ws://edge/v1/ws"],
    deviceType: "desktop",
    connectionType: "chat",
  });
  connection.connect();
  await world.clock.pass(10);
  world.transport.last.welcome();
});

describe("a cable that can be pulled", () => {
  it("passes everything as long as nobody does", async () => {
    const asked = connection.ask("ping", {});
    world.transport.last.say("pong", {}, { ref: 1 });
    expect(await asked).toEqual({});
    expect(connection.state.status).toBe("connected");
  });

  it("drops the socket, and the connection comes back with another one", async () => {
    faulty.drop();
    expect(connection.state.status).toBe("reconnecting");
    expect(world.transport.alive).toBe(0);
    await world.clock.pass(10_000);
    world.transport.last.welcome();
    expect(connection.state.status).toBe("connected");
    expect(world.transport.sockets).toHaveLength(2);
  });

  it("goes offline without opening a socket, and comes back at once", async () => {
    faulty.setOnline(false);
    expect(connection.state.status).toBe("offline");
    await world.clock.pass(60_000);
    expect(world.transport.sockets).toHaveLength(1);
    faulty.setOnline(true);
    await world.clock.pass(2_000);
    world.transport.last.welcome();
    expect(connection.state.status).toBe("connected");
  });

  it("falls silent, which the heartbeat finds within 10 s", async () => {
    faulty.setSilent(true);
    const pings = world.transport.last.pings;
    await world.clock.pass(10_000);
    expect(connection.state.status).toBe("reconnecting");
    expect(world.transport.sockets[0]?.pings).toBe(pings);
  });

  it("leaves nothing behind", async () => {
    connection.dispose();
    faulty.drop();
    await world.clock.pass(60_000);
    expect([world.transport.alive, world.network.listeners, world.clock.timers]).toEqual([0, 0, 0]);
  });
});
