/** Lets a page be seen by whoever is signed in, or by one role alone; sends everybody else to /login, and back afterwards. */

import type { ReactNode } from "react";
import { Navigate, useLocation } from "react-router";
import { Forbidden } from "../components/shell/NotFound";
import { useMe } from "../hooks/useNatter";
import type { Me, Role } from "../service/chat/model";

interface Props {
  readonly only?: Role | undefined;
  readonly children: ReactNode;
}

export function RequireAuth({ only, children }: Props) {
  const me = useMe();
  const { pathname } = useLocation();
  if (me === undefined) return <Navigate to="/login" replace state={{ from: pathname }} />;
  if (only !== undefined && !me.roles.includes(only)) return <Forbidden />;
  return children;
}

/** Where somebody begins. */
export function homeOf(me: Me): string {
  return me.roles.includes("admin") ? "/admin" : "/chat";
}

/** Where somebody wanted to go before they were asked to sign in; only a page of this application. */
export function wantedPage(state: unknown): string | undefined {
  const from = typeof state === "object" && state !== null && "from" in state ? state.from : undefined;
  return typeof from === "string" && /^\/(?![/\\])/.test(from) ? from : undefined;
}
