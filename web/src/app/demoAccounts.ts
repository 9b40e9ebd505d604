/** The accounts that `make dev` makes; shown only where the server says that it has them, or in development. */

import type { DemoAccount } from "./pages/Login";

/** Published, as the accounts are on developers' machines alone. */
const password = "natter-demo";

export const DEMO_ACCOUNTS: readonly DemoAccount[] = [
  { userId: "alice", name: "Alice", role: "customer", password },
  { userId: "bob", name: "Bob", role: "customer", password },
  { userId: "carol", name: "Carol", role: "consultant", password },
  { userId: "dora", name: "Dora", role: "doctor", password },
  { userId: "admin", name: "Admin", role: "admin", password },
];
