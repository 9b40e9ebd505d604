/** Pushes that nobody took, page behind page, with what can be done about them. */

import { useCallback } from "react";
import { DEAD_PER_PAGE, type DeadChoice, type DeadPage } from "../service/admin/model";
import { useAction } from "./useAction";
import { useAdmin } from "./useAdmin";
import { type Loaded, useLoaded } from "./useLoaded";

interface Shown extends DeadPage {
  /** A page that was not full was the last one. */
  readonly more: boolean;
}

export interface DeadLetters extends Loaded<Shown> {
  readonly loadMore: () => Promise<boolean>;
  /** Resolves to how many it were; undefined if that failed, which the user was told of. The list is fetched anew. */
  readonly settle: (how: "replay" | "drop", which: DeadChoice) => Promise<number | undefined>;
}

export function useDeadLetters(userId: string | undefined): DeadLetters {
  const admin = useAdmin();
  const run = useAction();
  const ask = useCallback(
    async (afterId?: number): Promise<Shown> => {
      const page = await admin.deadLetters({ userId }, afterId);
      return { ...page, more: page.pushes.length >= DEAD_PER_PAGE };
    },
    [admin, userId],
  );
  const loaded = useLoaded(useCallback(() => ask(), [ask]));
  const { replace, reload, data } = loaded;
  const after = data?.next_after_id;

  const loadMore = useCallback(
    () =>
      run(async () => {
        const next = await ask(after);
        replace((page) => {
          // A page that was asked for twice is shown once.
          if (page.next_after_id !== after) return page;
          return { ...next, pushes: [...page.pushes, ...next.pushes] };
        });
      }),
    [run, ask, after, replace],
  );

  const settle = useCallback(
    async (how: "replay" | "drop", which: DeadChoice): Promise<number | undefined> => {
      let count: number | undefined;
      await run(async () => {
        count = await admin[how](which);
      });
      reload();
      return count;
    },
    [run, admin, reload],
  );

  return { ...loaded, loadMore, settle };
}
