/** /admin: what goes on in Natter, on a socket of its own (`connection_type=admin`). */

import { useMemo } from "react";
import { useLocation } from "react-router";
import { AdminSections } from "../../components/admin/AdminSections";
import { Shell } from "../../components/shell/Shell";
import { WebSocketStatus } from "../../components/WebSocketStatus";
import { AdminContext } from "../../hooks/useAdmin";
import { type PageConnection, usePageConnection } from "../../hooks/usePageConnection";
import { useWebSocketOf } from "../../hooks/useWebSocketByPage";
import { HttpAdminApi } from "../../service/admin/api";
import { useServices } from "../services";
import { useSignOut } from "../useSignOut";

export default function AdminPage() {
  const { natter } = useServices();
  const page = usePageConnection(useLocation().pathname);
  const signOut = useSignOut();
  const admin = useMemo(() => new HttpAdminApi(natter.api), [natter]);
  return (
    <Shell status={<Status page={page} />} onSignOut={signOut}>
      <AdminContext value={admin}>
        <AdminSections connection={page.connection} status={page.state.status} />
      </AdminContext>
    </Shell>
  );
}

/** Apart, because it is drawn anew with every frame. */
function Status({ page }: { readonly page: PageConnection }) {
  return <WebSocketStatus {...useWebSocketOf(page)} />;
}
