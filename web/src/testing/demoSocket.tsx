/** /test-websocket without a server: an edge in the page answers, for looking at it. */

import { Bench } from "../components/socket/Bench";
import { NatterContext, type NatterServices } from "../hooks/useNatter";
import { useSocketBench } from "../hooks/useSocketBench";
import type { Me } from "../service/chat/model";
import { silentLog } from "../service/log";
import { PageConnections } from "../service/pageConnections";
import { browserEnvironment, SocketConnection } from "../service/websocket";
import type { Environment, SocketEvents } from "../service/websocket/types";

const ME: Me = { userId: "alice", name: "Alice", roles: ["customer"] };
const FRAMES_PER_BURST = 60;

const services: NatterServices = {
  auth: { me: ME, subscribe: () => () => undefined },
  connections: new PageConnections(
    ({ connectionType, environment }) =>
      new SocketConnection(
        environment ?? browserEnvironment(),
        { current: async () => "demo", refused: () => undefined },
        { urls: [`ws://${location.host}/v1/ws`], deviceType: "desktop", deviceId: "demo", connectionType },
      ),
    browserEnvironment().clock,
    silentLog,
  ),
};

/** A bench whose edge is this page. */
export function DemoBench() {
  return (
    <NatterContext value={services}>
      <Page />
    </NatterContext>
  );
}

function Page() {
  const bench = useSocketBench("/test-websocket", demoWorld);
  return (
    <main style={{ maxWidth: 1280, margin: "0 auto", padding: 16 }}>
      <Bench bench={bench} me={ME} />
    </main>
  );
}

function demoWorld(): Environment {
  const world = browserEnvironment();
  return {
    ...world,
    transport: {
      open(_url, _protocols, events) {
        let open = true;
        const later = (ms: number, what: () => void) => void world.clock.after(ms, () => open && what());
        const say = (action: string, data: object, ref?: unknown) =>
          events.onText(JSON.stringify({ action, ...(ref !== undefined && { ref }), data }));
        later(40, () => greet(events, say));
        const answer = answers(say);
        return {
          send: (text) => later(4 + world.clock.random() ** 4 * 60, () => answer(text)),
          close(code = 1005) {
            open = false;
            world.clock.after(0, () => events.onClose(code, ""));
          },
        };
      },
    },
  };
}

type Say = (action: string, data: object, ref?: unknown) => void;

function greet(events: SocketEvents, say: Say): void {
  events.onOpen();
  say("connected", {
    connection_id: "01935d2c-7a31-7c1e-9a53-0f4be1d21a77",
    user_id: ME.userId,
    edge_id: "edge-1",
    heartbeat_interval_ms: 45_000,
    connection_timeout_ms: 60_000,
    max_reconnect_attempts: 15,
    sync_interval_ms: 25_000,
    features: ["messaging", "typing", "presence", "token_refresh"],
    limits: { frame_bytes_max: 65_536, frames_per_s: 50 },
  });
}

function answers(say: Say): (text: string) => void {
  let burst = 0;
  return (text) => {
    const { action, data, ref } = JSON.parse(text) as { action: string; data: object; ref?: number };
    burst += 1;
    setTimeout(() => {
      burst -= 1;
    }, 1_000);
    if (burst > FRAMES_PER_BURST)
      say("error", { code: "rate_limited", message: "too many frames", retry_after_ms: 1_000 }, ref);
    else if (action === "ping") say("pong", {}, ref);
    else say("ack", data, ref);
  };
}
