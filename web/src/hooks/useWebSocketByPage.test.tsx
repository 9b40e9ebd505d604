// @vitest-environment jsdom
import { act, cleanup, render, screen } from "@testing-library/react";
import { StrictMode } from "react";
import { MemoryRouter, type NavigateFunction, Route, Routes, useNavigate } from "react-router";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { PAGE_WEBSOCKET_CONFIG, type PageConfigs } from "../config/pages";
import type { Me } from "../service/chat/model";
import { silentLog } from "../service/log";
import { PageConnections } from "../service/pageConnections";
import { SocketConnection } from "../service/websocket/core/connection";
import { FakeTokens, type FakeWorld, fakeWorld } from "../testing/socket";
import { NatterContext, type NatterServices } from "./useNatter";
import { useWebSocketByPage, type WebSocketByPage } from "./useWebSocketByPage";

const ANNA: Me = { userId: "anna", name: "Anna", roles: ["customer"] };

class FakeAuth {
  me: Me | undefined = ANNA;
  readonly #listeners = new Set<() => void>();

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  become(me: Me | undefined): void {
    this.me = me;
    for (const listener of [...this.#listeners]) listener();
  }
}

let world: FakeWorld;
let auth: FakeAuth;
let connections: PageConnections;
let page: WebSocketByPage;
let go: NavigateFunction;

beforeEach(() => {
  world = fakeWorld();
  auth = new FakeAuth();
  const tokens = new FakeTokens();
  connections = new PageConnections(
    ({ connectionType }) =>
      new SocketConnection(world, tokens, { urls: ["ws://edge/v1/ws"], deviceType: "desktop", connectionType }),
    world.clock,
    silentLog,
  );
});

afterEach(cleanup);

function Page({ pages }: { readonly pages: PageConfigs | undefined }) {
  page = useWebSocketByPage(pages && { pages });
  return <p>{page.connectionStatus}</p>;
}

function Navigator() {
  go = useNavigate();
  return null;
}

function show(path: string, pages?: PageConfigs) {
  const natter: NatterServices = { auth, connections };
  return render(
    <StrictMode>
      <NatterContext value={natter}>
        <MemoryRouter initialEntries={[path]}>
          <Navigator />
          <Routes>
            {["/login", "/chat", "/chat/:id", "/admin", "/test-websocket", "/imprint"].map((route) => (
              <Route key={route} path={route} element={<Page key={route.split("/")[1]} pages={pages} />} />
            ))}
            <Route
              path="/two"
              element={
                <>
                  <Page pages={pages} />
                  <Page pages={pages} />
                </>
              }
            />
          </Routes>
        </MemoryRouter>
      </NatterContext>
    </StrictMode>,
  );
}

const pass = (ms: number) => act(() => world.clock.pass(ms));
const opened = () => world.transport.sockets.length;

async function connected(path: string): Promise<void> {
  show(path);
  await pass(10);
  await act(async () => world.transport.last.welcome());
}

describe("a page's WebSocket", () => {
  it("is attempted zero times on /login, though somebody is signed in, and whatever happens to the network", async () => {
    show("/login");
    await pass(60_000);
    act(() => world.network.set(false));
    act(() => world.network.set(true));
    act(() => page.connect());
    await pass(60_000);
    expect(opened()).toBe(0);
    expect(connections.size).toBe(0);
    expect(page).toMatchObject({ isConnected: false, isEnabled: false, connectionStatus: "idle" });
  });

  it("is attempted zero times on a page that nobody listed", async () => {
    show("/imprint");
    await pass(60_000);
    expect(opened()).toBe(0);
  });

  it("is attempted zero times as long as nobody is signed in, and once when somebody is", async () => {
    auth.become(undefined);
    show("/chat");
    await pass(60_000);
    expect(opened()).toBe(0);
    act(() => auth.become(ANNA));
    await pass(10);
    expect(opened()).toBe(1);
  });

  it("has exactly the seed's fields, with the state shown at once", async () => {
    show("/chat");
    await pass(10);
    expect(screen.getByText("connecting")).toBeTruthy();
    await act(async () => world.transport.last.welcome());
    expect(screen.getByText("connected")).toBeTruthy();
    expect(Object.keys(page).sort()).toEqual([
      "config",
      "connect",
      "connectionStatus",
      "connectionType",
      "disconnect",
      "isConnected",
      "isEnabled",
      "lastMessage",
      "sendMessage",
    ]);
    expect(page).toMatchObject({ isConnected: true, isEnabled: true, connectionType: "chat" });
    expect(page.config).toBe(PAGE_WEBSOCKET_CONFIG["/chat"]);
  });

  it("is one socket in StrictMode, which mounts everything twice", async () => {
    await connected("/chat");
    await pass(1_000);
    expect(opened()).toBe(1);
    expect(world.transport.alive).toBe(1);
  });

  it("is one socket for all components of the page", async () => {
    const on = PAGE_WEBSOCKET_CONFIG["/chat"];
    if (on === undefined) throw new Error("the chat is not listed");
    show("/two", { "/two": on });
    await pass(10);
    expect(opened()).toBe(1);
  });

  it("stays from one conversation to the next", async () => {
    await connected("/chat");
    await act(async () => go("/chat/01a20619"));
    await pass(1_000);
    expect(opened()).toBe(1);
    expect(page.isConnected).toBe(true);
  });

  it("ends with its page, also in the middle of connecting, and the next page has its own type", async () => {
    await connected("/chat");
    await act(async () => go("/admin"));
    await act(async () => go("/chat"));
    await act(async () => go("/admin"));
    await pass(10);
    expect(world.transport.alive).toBe(1);
    expect(world.transport.last.url).toContain("connection_type=admin");
    await act(async () => go("/login"));
    await pass(60_000);
    expect(world.transport.alive).toBe(0);
    expect(connections.size).toBe(0);
    expect(world.clock.timers).toBe(0);
  });

  it("ends when its user signs out", async () => {
    await connected("/chat");
    act(() => auth.become(undefined));
    await pass(10);
    expect(world.transport.alive).toBe(0);
    expect(page.isEnabled).toBe(false);
  });

  it("shows a new message as lastMessage, with what it is in data", async () => {
    await connected("/chat");
    const data = {
      id: "m1",
      conversation_id: "c1",
      seq: 7,
      sender_id: "ben",
      message_type: "text",
      content: "Hello",
      created_at: "2026-11-23T06:00:00Z",
    };
    await act(async () => world.transport.last.say("new_message", data, { stream: "conversation:c1", seq: 7 }));
    if (page.lastMessage?.action !== "new_message") throw new Error(`it is ${page.lastMessage?.action}`);
    expect(page.lastMessage.data.content).toBe("Hello");
  });

  it("answers what was sent, and refuses at once without a connection", async () => {
    await connected("/chat");
    const asked = page.sendMessage({ action: "typing", data: { conversation_id: "c1", is_typing: true } });
    const { ref } = world.transport.last.frames.at(-1) ?? {};
    await act(async () => world.transport.last.say("ack", { fine: true }, { ref }));
    expect(await asked).toEqual({ fine: true });
    act(() => page.disconnect());
    await expect(page.sendMessage({ action: "typing" })).rejects.toMatchObject({ code: "not_connected" });
  });

  it("waits for connect where the page does not connect by itself", async () => {
    show("/test-websocket");
    await pass(60_000);
    expect(opened()).toBe(0);
    act(() => page.connect());
    await pass(10);
    expect(opened()).toBe(1);
  });

  it("leaves the next page alone when it was refused for good", async () => {
    await connected("/admin");
    await act(async () => world.transport.last.end(4403, "forbidden"));
    expect(page.connectionStatus).toBe("failed");
    await act(async () => go("/chat"));
    await pass(10);
    await act(async () => world.transport.last.welcome());
    expect(page.connectionStatus).toBe("connected");
  });
});
