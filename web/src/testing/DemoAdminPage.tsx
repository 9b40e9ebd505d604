/** The admin page with figures that nobody measured: everything but its socket and its server is real. */

import { useEffect, useMemo, useState } from "react";
import { AdminSections } from "../components/admin/AdminSections";
import { Shell } from "../components/shell/Shell";
import { WebSocketStatus } from "../components/WebSocketStatus";
import { NO_WEBSOCKET, PAGE_WEBSOCKET_CONFIG } from "../config/pages";
import { AdminContext } from "../hooks/useAdmin";
import { NatterContext, type NatterServices } from "../hooks/useNatter";
import { useConnectionState } from "../hooks/usePageConnection";
import { useWebSocketOf } from "../hooks/useWebSocketByPage";
import { ScriptedConnection } from "./connection";
import { DemoAdmin, demoStats } from "./demoAdmin";

const EVERY_MS = 2_000;
const PAST_MS = 290_000;
const ME = { userId: "admin", name: "Admin", roles: ["admin"] } as const;
const NATTER: NatterServices = {
  auth: { me: ME, subscribe: () => () => undefined },
  connections: {
    hold: () => {
      throw new Error("the demo has no connections");
    },
  },
};

export function DemoAdminPage({ empty = false }: { readonly empty?: boolean }) {
  const admin = useMemo(() => new DemoAdmin({ empty }), [empty]);
  const [connection] = useState(() => new ScriptedConnection());
  const config = PAGE_WEBSOCKET_CONFIG["/admin"] ?? NO_WEBSOCKET;
  const state = useConnectionState(connection);
  useEffect(() => {
    connection.connect();
    const say = (at: number): void => connection.say({ action: "stats", data: { ...demoStats(at) } });
    const now = Date.now();
    for (let at = now - PAST_MS; at < now; at += EVERY_MS) say(at);
    const timer = setInterval(() => say(Date.now()), EVERY_MS);
    return () => clearInterval(timer);
  }, [connection]);
  const socket = useWebSocketOf({ connection, state, config, isEnabled: true });
  return (
    <NatterContext value={NATTER}>
      <Shell status={<WebSocketStatus {...socket} />} onSignOut={() => undefined}>
        <AdminContext value={admin}>
          <AdminSections connection={connection} status={state.status} />
        </AdminContext>
      </Shell>
    </NatterContext>
  );
}
