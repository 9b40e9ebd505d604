import { beforeEach, describe, expect, it } from "vitest";
import { FakeTokens, type FakeWorld, fakeWorld } from "../../testing/socket";
import { SocketConnection } from "./core/connection";
import { FRAMES_MAX, SocketRecorder, STATES_MAX } from "./recorder";
import { percentile } from "./roundTrips";

let world: FakeWorld;
let recorder: SocketRecorder;
let connection: SocketConnection;

beforeEach(async () => {
  world = fakeWorld();
  recorder = new SocketRecorder(world);
  connection = new SocketConnection(recorder, new FakeTokens(), {
    urls: ["ws://edge/v1/ws"],
    deviceType: "desktop",
    connectionType: "chat",
  });
  recorder.watch(connection);
  connection.connect();
  await world.clock.pass(10);
  world.transport.last.welcome();
});

describe("the recorder of a socket", () => {
  it("knows where the socket leads and what was offered, and keeps no token", () => {
    expect(recorder.recording.socket?.url).toMatch(/^ws:\/\/edge\/v1\/ws\?/);
    expect(recorder.recording.socket?.protocols).toEqual(["natter.v1"]);
    connection.send("refresh_token", { token: "token-2" });
    expect(recorder.recording.frames.map(({ action }) => action)).toEqual(["connected", "refresh_token"]);
    expect(JSON.stringify(recorder.recording)).not.toMatch(/token-\d|bearer/);
  });

  it("passes everything through unchanged", () => {
    expect(connection.state.status).toBe("connected");
    expect(world.transport.last.protocols).toEqual(["natter.v1", "bearer.token-1"]);
  });

  it("keeps the newest frames alone, and counts all", () => {
    for (let n = 0; n < FRAMES_MAX + 20; n += 1) world.transport.last.say("typing", { n });
    const { frames, frameCount } = recorder.recording;
    expect([frames.length, frameCount]).toEqual([FRAMES_MAX, FRAMES_MAX + 21]);
    expect(frames.at(-1)?.text).toContain(`"n":${FRAMES_MAX + 19}`);
  });

  it("calls what is no frame a question mark", () => {
    world.transport.last.text("what?");
    expect(recorder.recording.frames.at(-1)).toMatchObject({ action: "?", text: "what?", direction: "in" });
  });

  it("keeps the code of the last end in sight when the next socket is open", async () => {
    world.transport.last.end(1012, "draining");
    await world.clock.pass(10_000);
    world.transport.last.welcome();
    const { socket, lastClosed } = recorder.recording;
    expect(lastClosed).toMatchObject({ code: 1012, reason: "draining" });
    expect(socket?.closed).toBeUndefined();
    expect(socket?.openedAt).toBeGreaterThan(lastClosed?.at ?? Number.POSITIVE_INFINITY);
  });

  it("writes down each state once, with the reason of a bad one, and not without end", async () => {
    expect(recorder.recording.states.map(({ status }) => status)).toEqual(["idle", "connecting", "connected"]);
    world.transport.last.end(1006);
    expect(recorder.recording.states.at(-1)).toMatchObject({ status: "reconnecting", why: "closed with 1006" });
    for (let n = 0; n < STATES_MAX; n += 1) {
      connection.disconnect();
      connection.connect();
    }
    expect(recorder.recording.states).toHaveLength(STATES_MAX);
  });

  it("measures a ping by its pong, with a ref or without", async () => {
    connection.send("ping", {});
    await world.clock.pass(20);
    world.transport.last.say("pong");
    const asked = connection.ask("ping", {});
    await world.clock.pass(40);
    world.transport.last.say("pong", {}, { ref: world.transport.last.sent.length - 1 });
    await asked;
    expect(recorder.recording.samples.map(({ ms }) => ms)).toEqual([20, 40]);
  });

  it("does not take the next pong for that of a ping that was refused or lost", async () => {
    connection.send("ping", {});
    world.transport.last.say("error", { code: "rate_limited", message: "" });
    world.transport.last.say("pong");
    connection.send("ping", {});
    world.transport.last.end(1006);
    await world.clock.pass(10_000);
    world.transport.last.welcome();
    world.transport.last.say("pong");
    expect(recorder.recording.samples).toEqual([]);
  });

  it("tells its listeners once of a flood, and gives the same recording until then", async () => {
    let told = 0;
    const cancel = recorder.subscribe(() => {
      told += 1;
    });
    const before = recorder.recording;
    for (let n = 0; n < 100; n += 1) world.transport.last.say("typing");
    expect(recorder.recording).toBe(before);
    await world.clock.pass(150);
    expect([told, recorder.recording.frames.length]).toEqual([1, 101]);
    cancel();
    world.transport.last.say("typing");
    expect(told).toBe(1);
  });

  it("forgets frames and round trips apart, at once", async () => {
    connection.send("ping", {});
    world.transport.last.say("pong");
    recorder.clearFrames();
    expect([recorder.recording.frames.length, recorder.recording.samples.length]).toEqual([0, 1]);
    recorder.clearSamples();
    expect(recorder.recording.samples).toEqual([]);
  });

  it("leaves nothing behind", async () => {
    const cancel = recorder.subscribe(() => undefined);
    world.transport.last.say("typing");
    cancel();
    connection.dispose();
    await world.clock.pass(0);
    expect(world.clock.timers).toBe(0);
  });
});

describe("percentiles", () => {
  it("are values that there are", () => {
    expect(percentile([30, 10, 20], 0.5)).toBe(20);
    expect(percentile([30, 10, 20], 0.99)).toBe(30);
    expect(percentile([], 0.5)).toBeUndefined();
  });
});
