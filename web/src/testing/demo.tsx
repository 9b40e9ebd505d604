/** /demo.html of the development server: the pages with a `DemoStore`. `?role=consultant&page=login&status=offline&pace=900` */

import "@mantine/charts/styles.css";
import "@mantine/core/styles.css";
import "@mantine/notifications/styles.css";
import { createRoot } from "react-dom/client";
import { MemoryRouter, Route, Routes } from "react-router";
import { startTexts } from "../app/i18n";
import { ChatPage } from "../app/pages/Chat";
import { LoginPage } from "../app/pages/Login";
import type { ConnectionStatus, Role } from "../service/chat/model";
import { DemoAdminPage } from "./DemoAdminPage";
import { DemoBench } from "./demoSocket";
import { DemoStore } from "./demoStore";
import { Providers } from "./Providers";

const asked = new URLSearchParams(location.search);
const store = new DemoStore({
  role: (asked.get("role") ?? "customer") as Role,
  status: (asked.get("status") ?? "connected") as ConnectionStatus,
  pace: Number(asked.get("pace") ?? 800),
  empty: asked.has("empty"),
});
Object.assign(globalThis, { store });

const ACCOUNTS = [
  { userId: "alice", name: "Alice", role: "customer" },
  { userId: "bob", name: "Bob", role: "customer" },
  { userId: "carol", name: "Carol", role: "consultant" },
  { userId: "dora", name: "Dora", role: "doctor" },
  { userId: "admin", name: "Admin", role: "admin" },
] as const;

const refuse = async (): Promise<void> => {
  throw Object.assign(new Error("refused"), { code: "wrong_credentials" });
};

const root = document.getElementById("root");
if (root !== null) {
  createRoot(root).render(
    <Providers store={store} texts={startTexts()}>
      <MemoryRouter initialEntries={[asked.get("page") ?? "/chat/knee"]}>
        <Routes>
          <Route path="/chat" element={<ChatPage onSignOut={() => undefined} />} />
          <Route path="/chat/:id" element={<ChatPage onSignOut={() => undefined} />} />
          <Route path="/admin" element={<DemoAdminPage empty={asked.has("empty")} />} />
          <Route
            path="/login"
            element={<LoginPage onSignIn={refuse} demoAccounts={ACCOUNTS.map((one) => ({ ...one, password: "x" }))} />}
          />
          <Route path="/test-websocket" element={<DemoBench />} />
        </Routes>
      </MemoryRouter>
    </Providers>,
  );
}
