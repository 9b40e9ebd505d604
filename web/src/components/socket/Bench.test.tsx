// @vitest-environment jsdom
import { act, fireEvent, screen, within } from "@testing-library/react";
import { beforeEach, describe, expect, it } from "vitest";
import { NatterContext } from "../../hooks/useNatter";
import { useSocketBench } from "../../hooks/useSocketBench";
import type { Me } from "../../service/chat/model";
import { silentLog } from "../../service/log";
import { PageConnections } from "../../service/pageConnections";
import { browserEnvironment } from "../../service/websocket";
import { SocketConnection } from "../../service/websocket/core/connection";
import { renderChat } from "../../testing/render";
import { FakeTokens, type FakeWorld, fakeWorld } from "../../testing/socket";
import { Bench } from "./Bench";
import { FLOOD_FRAMES } from "./flood";

const ANNA: Me = { userId: "anna", name: "Anna", roles: ["customer"] };

let world: FakeWorld;

function Page() {
  const bench = useSocketBench("/test-websocket", () => world);
  return <Bench bench={bench} me={ANNA} />;
}

beforeEach(() => {
  world = fakeWorld();
  const tokens = new FakeTokens();
  const connections = new PageConnections(
    ({ connectionType, environment = browserEnvironment() }) =>
      new SocketConnection(environment, tokens, { urls: ["ws://edge/v1/ws"], deviceType: "desktop", connectionType }),
    world.clock,
    silentLog,
  );
  const auth = { me: ANNA, subscribe: () => () => undefined };
  renderChat(
    <NatterContext value={{ auth, connections }}>
      <Page />
    </NatterContext>,
  );
});

const pass = (ms: number) => act(() => world.clock.pass(ms));
const button = (name: string | RegExp) => screen.getByRole("button", { name });
const press = (name: string | RegExp) => fireEvent.click(button(name));
const panel = (name: string) => within(screen.getByRole("region", { name }));

async function connect(): Promise<void> {
  press("Connect");
  await pass(10);
  await act(async () => world.transport.last.welcome({ features: ["typing"] }));
  await pass(200);
}

function write(frame: string): void {
  fireEvent.change(screen.getByLabelText("Frame (JSON)"), { target: { value: frame } });
}

describe("the socket test page", () => {
  it("connects when it is asked, not before, and says with what", async () => {
    await pass(1_000);
    expect(world.transport.sockets).toHaveLength(0);
    await connect();
    const state = panel("State");
    for (const fact of ["Connected", "edge-1", "c1", "natter.v1", "anna (customer, chat)"]) state.getByText(fact);
    state.getByText(/^ws:\/\/edge\/v1\/ws\?/);
    expect(document.body.textContent).not.toContain("token-1");
  });

  it("shows the states it went through, newest first", async () => {
    await connect();
    const states = panel("States")
      .getAllByRole("listitem")
      .map((item) => item.textContent?.replace(/^[\d:.]+/, ""));
    expect(states).toEqual(["Connected", "Connecting…", "Not connected"]);
  });

  it("explains the code with which a socket was closed", async () => {
    await connect();
    await act(async () => world.transport.last.end(4409, "replaced"));
    await pass(200);
    panel("State").getByText(/closed with 4409/);
    panel("State").getByText(/Replaced: the same user and device/);
    panel("State").getByText("Reason: replaced");
  });

  it("drops the socket, and gets another one", async () => {
    await connect();
    press("Drop the socket");
    expect(world.transport.alive).toBe(0);
    await pass(10_000);
    expect(world.transport.sockets).toHaveLength(2);
  });

  it("goes offline without a try, and comes back online", async () => {
    await connect();
    fireEvent.click(screen.getByLabelText("Offline"));
    await pass(60_000);
    expect(world.transport.sockets).toHaveLength(1);
    panel("State").getByText("Offline");
    fireEvent.click(screen.getByLabelText("Offline"));
    await pass(2_000);
    expect(world.transport.sockets).toHaveLength(2);
  });

  it("disconnects for good", async () => {
    await connect();
    press("Disconnect");
    await pass(60_000);
    expect([world.transport.alive, world.transport.sockets.length]).toEqual([0, 1]);
  });

  it("sends a frame that was written, and shows the answer", async () => {
    await connect();
    write('{"action": "mark_read", "data": {"conversation_id": "k", "seq": 3}}');
    press("Send");
    const sent = world.transport.last.frames.at(-1);
    expect(sent).toMatchObject({ action: "mark_read", data: { conversation_id: "k", seq: 3 } });
    await act(async () => world.transport.last.say("ack", { seq: 3, user_id: "anna" }, { ref: sent?.ref }));
    panel("Send a frame").getByText(/Answered after/);
    panel("Send a frame").getByText('"anna"');
  });

  it("shows what the server has against a frame", async () => {
    await connect();
    write('{"action": "dance"}');
    press("Send");
    const { ref } = world.transport.last.frames.at(-1) ?? {};
    const error = { code: "unknown_action", message: "there is no action dance" };
    await act(async () => world.transport.last.say("error", error, { ref }));
    panel("Send a frame").getByText(/unknown_action after/);
    panel("Send a frame").getByText("there is no action dance");
  });

  it("says what is wrong with a frame before it is sent", async () => {
    await connect();
    write('{"action": 1}');
    screen.getByText("action must be a text, and not empty.");
    expect(button("Send")).toHaveProperty("disabled", true);
    expect(world.transport.last.frames).toEqual([]);
  });

  it("floods with a bounded number of pings, and counts what came of each", async () => {
    await connect();
    const before = world.transport.last.pings;
    press(/^Flood/);
    expect(world.transport.last.pings - before).toBe(FLOOD_FRAMES);
    const refs = world.transport.last.sent.map((text) => JSON.parse(text).ref as number | undefined);
    const named = refs.filter((ref) => ref !== undefined);
    await act(async () => {
      for (const [index, ref] of named.entries()) {
        if (index < 50) world.transport.last.say("pong", {}, { ref });
        else if (index < 150) world.transport.last.say("error", { code: "rate_limited", message: "" }, { ref });
      }
    });
    await act(async () => world.transport.last.end(4429, "too many"));
    screen.getByText("rate_limited × 100 · pong × 50 · closed × 50");
  });

  it("counts its frames, holds them still and lets them go", async () => {
    await connect();
    const frames = panel("Frames");
    frames.getByText("1 of 1 kept frames; 1 in all");
    press("Pause");
    await act(async () => world.transport.last.say("typing", { user_id: "ben" }));
    await pass(200);
    frames.getByText("1 of 1 kept frames; 1 in all");
    press("Resume (1 new)");
    frames.getByText("2 of 2 kept frames; 2 in all");
    fireEvent.change(screen.getByLabelText("Search in frames"), { target: { value: "BEN" } });
    frames.getByText("1 of 2 kept frames; 2 in all");
    fireEvent.click(frames.getByRole("button", { name: "Clear" }));
    frames.getByText("0 of 0 kept frames; 2 in all");
  });

  it("measures round trips", async () => {
    await connect();
    press("Ping");
    await pass(30);
    await act(async () => world.transport.last.say("pong"));
    await pass(200);
    expect(panel("Latency").getAllByText("30 ms")).toHaveLength(3);
  });
});
