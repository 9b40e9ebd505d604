/** Signs out: no push to this device any more, then no session. */

import { useCallback } from "react";
import { useServices } from "./services";

export function useSignOut(): () => void {
  const { natter, push } = useServices();
  return useCallback(() => {
    // Whether or not the push service is told: the session ends, and the server ends its devices' pushes with it.
    void push.end().finally(() => natter.auth.logout());
  }, [natter, push]);
}
