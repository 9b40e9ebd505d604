/** The open connections that filters let through, page behind page. */

import { useCallback } from "react";
import type { AdminConnection, ConnectionFilter, ConnectionPage } from "../service/admin/model";
import { useAction } from "./useAction";
import { useAdmin } from "./useAdmin";
import { type Loaded, useLoaded } from "./useLoaded";

export interface Connections extends Loaded<ConnectionPage> {
  readonly loadMore: () => Promise<boolean>;
  /** Takes away what was told to close: the edges need a moment until they say so themselves. */
  readonly forget: (gone: (one: AdminConnection) => boolean) => void;
}

export function useConnections({ userId, edgeId, deviceType, role }: ConnectionFilter): Connections {
  const admin = useAdmin();
  const run = useAction();
  const ask = useCallback(
    (cursor?: string) => admin.connections({ userId, edgeId, deviceType, role }, cursor),
    [admin, userId, edgeId, deviceType, role],
  );
  const loaded = useLoaded(useCallback(() => ask(), [ask]));
  const { replace } = loaded;
  const cursor = loaded.data?.next_cursor ?? undefined;

  const loadMore = useCallback(
    () =>
      run(async () => {
        const next = await ask(cursor);
        // Of a page that was asked for twice, or whose filters changed meanwhile, nothing is shown twice or wrongly.
        replace((page) =>
          page.next_cursor === cursor ? { ...next, connections: [...page.connections, ...next.connections] } : page,
        );
      }),
    [run, ask, cursor, replace],
  );
  const forget = useCallback(
    (gone: (one: AdminConnection) => boolean) =>
      replace((page) => {
        const left = page.connections.filter((one) => !gone(one));
        return { ...page, connections: left, count: page.count - (page.connections.length - left.length) };
      }),
    [replace],
  );
  return { ...loaded, loadMore, forget };
}
