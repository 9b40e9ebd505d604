/** Where an attachment's content can be read by this page, for as long as the component is there. */

import { useCallback, useEffect, useState } from "react";
import { useChatStore } from "./useChat";

export interface Attachment {
  /** undefined while it is loading, and after a failure. */
  readonly url?: string;
  readonly failed: boolean;
  readonly again: () => void;
}

/** Loads when `wanted`, which is for what is too large to be loaded unasked. */
export function useAttachment(id: string, wanted = true): Attachment {
  const store = useChatStore();
  const [state, setState] = useState<{ readonly url?: string; readonly failed: boolean }>({ failed: false });
  const [attempt, setAttempt] = useState(0);

  // biome-ignore lint/correctness/useExhaustiveDependencies: another attempt is the reason to ask again
  useEffect(() => {
    if (!wanted) {
      return;
    }
    let here = true;
    let held = false;
    setState({ failed: false });
    store.attachmentUrl(id).then(
      (url) => {
        held = here;
        if (here) {
          setState({ url, failed: false });
        } else {
          store.release(id);
        }
      },
      () => here && setState({ failed: true }),
    );
    return () => {
      here = false;
      if (held) {
        store.release(id);
      }
    };
  }, [store, id, wanted, attempt]);

  return { ...state, again: useCallback(() => setAttempt((count) => count + 1), []) };
}
