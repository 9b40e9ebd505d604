/** /login: signs in, and goes where one wanted to go. No socket here. */

import { useEffect, useState } from "react";
import { Navigate, useLocation } from "react-router";
import { useMe } from "../../hooks/useNatter";
import { homeOf, wantedPage } from "../RequireAuth";
import { useServices } from "../services";
import { type DemoAccount, LoginPage } from "./Login";

export default function LoginRoute() {
  const { config, natter } = useServices();
  const { state } = useLocation();
  const accounts = useDemoAccounts(config.demo);
  const me = useMe();
  if (me !== undefined) return <Navigate to={wantedPage(state) ?? homeOf(me)} replace />;
  const signIn = async (userId: string, password: string) => void (await natter.auth.login(userId, password));
  return <LoginPage onSignIn={signIn} demoAccounts={accounts} />;
}

/** Loaded only where they are shown. */
function useDemoAccounts(wanted: boolean): readonly DemoAccount[] | undefined {
  const [accounts, setAccounts] = useState<readonly DemoAccount[]>();
  useEffect(() => {
    if (!wanted) return;
    let here = true;
    void import("../demoAccounts").then((found) => {
      if (here) setAccounts(found.DEMO_ACCOUNTS);
    });
    return () => {
      here = false;
    };
  }, [wanted]);
  return accounts;
}
