/** Gives components what the application shares, and who is signed in. */

import { createContext, useCallback, useContext, useSyncExternalStore } from "react";
import type { AuthService } from "../service/authService";
import type { Me } from "../service/chat/model";
import type { PageConnections } from "../service/pageConnections";

/** What the hooks here need of an application; `createNatter` makes it, a test may make its own. */
export interface NatterServices {
  readonly auth: Pick<AuthService, "me" | "subscribe">;
  readonly connections: Pick<PageConnections, "hold">;
}

export const NatterContext = createContext<NatterServices | null>(null);

/** Throws outside of a `<NatterContext>`. */
export function useNatter(): NatterServices {
  const natter = useContext(NatterContext);
  if (natter === null) throw new Error("needs <NatterContext value={createNatter(…)}> above it");
  return natter;
}

/** Who is signed in; undefined if nobody is. */
export function useMe(): Me | undefined {
  const { auth } = useNatter();
  return useSyncExternalStore(
    useCallback((listener) => auth.subscribe(listener), [auth]),
    () => auth.me,
  );
}
