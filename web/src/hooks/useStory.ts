/** The delivery ledger of one message, recipients page behind page. */

import { useCallback } from "react";
import type { MessageDelivery } from "../service/admin/model";
import { useAction } from "./useAction";
import { useAdmin } from "./useAdmin";
import { type Loaded, useLoaded } from "./useLoaded";

export interface Story extends Loaded<MessageDelivery> {
  readonly loadMore: () => Promise<boolean>;
}

export function useStory(messageId: string): Story {
  const admin = useAdmin();
  const run = useAction();
  const loaded = useLoaded(useCallback(() => admin.delivery(messageId), [admin, messageId]));
  const { replace } = loaded;
  const after = loaded.data?.next_after ?? undefined;
  const loadMore = useCallback(
    () =>
      run(async () => {
        const next = await admin.delivery(messageId, after);
        // A page that was asked for twice is shown once.
        replace((page) =>
          page.next_after === after ? { ...next, recipients: [...page.recipients, ...next.recipients] } : page,
        );
      }),
    [run, admin, messageId, after, replace],
  );
  return { ...loaded, loadMore };
}
