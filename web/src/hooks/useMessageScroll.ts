/** Where a message list stands: at the end it stays there, elsewhere it keeps its place and counts what comes. */

import { type RefObject, useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";
import type { VListHandle } from "virtua";
import type { Row } from "../components/chat/rows";
import { useChatStore } from "./useChat";

/** Nearer to the end than this counts as being there. */
const END_PX = 60;
/** Older messages are asked for before the beginning is seen. */
const OLDER_PX = 700;

interface Options {
  readonly conversationId: string;
  readonly rows: readonly Row[];
  readonly hasOlder: boolean;
}

export interface MessageScroll {
  readonly list: RefObject<VListHandle | null>;
  readonly atEnd: boolean;
  /** Messages of others that came below what is seen. */
  readonly unseen: number;
  readonly olderFailed: boolean;
  readonly onScroll: (offset: number) => void;
  readonly onResize: () => void;
  readonly toEnd: () => void;
  readonly loadOlder: () => Promise<void>;
}

export function useMessageScroll({ conversationId, rows, hasOlder }: Options): MessageScroll {
  const list = useRef<VListHandle>(null);
  const { loadOlder, loadWhenNear, olderFailed } = useOlder(conversationId, hasOlder);
  const see = useReadMarker(conversationId, rows, list);
  const [atEnd, setAtEnd] = useState(true);
  const end = useRef(true);
  const placed = useRef(false);
  /** The newest row when the end was last seen. */
  const seen = useRef<string | undefined>(undefined);
  const last = rows.at(-1)?.message;

  const toEnd = useCallback(() => {
    end.current = true;
    setAtEnd(true);
    list.current?.scrollToIndex(rows.length - 1, { align: "end" });
  }, [rows.length]);

  const look = useCallback(() => {
    const handle = list.current;
    if (handle === null || !placed.current) {
      return;
    }
    end.current = handle.scrollSize - handle.scrollOffset - handle.viewportSize < END_PX;
    setAtEnd(end.current);
    if (handle.scrollOffset < OLDER_PX) {
      loadWhenNear();
    }
    see();
  }, [loadWhenNear, see]);

  // Once: to the first unread message, which begins the part that is new, or to the end.
  useLayoutEffect(() => {
    if (placed.current || rows.length === 0) {
      return;
    }
    const unread = rows.findIndex((row) => row.unreadBegins);
    list.current?.scrollToIndex(unread === -1 ? rows.length - 1 : unread, { align: unread === -1 ? "end" : "start" });
    const frame = requestAnimationFrame(() => {
      placed.current = true;
      look();
    });
    return () => cancelAnimationFrame(frame);
  }, [rows, look]);

  // Rows may also come above the last one: what others said meanwhile stands before an own message that is not sent yet.
  // biome-ignore lint/correctness/useExhaustiveDependencies: more rows, or another last one, are what this is about
  useLayoutEffect(() => {
    if (placed.current && (end.current || (last?.mine && last.progress === "sending"))) {
      toEnd();
    }
  }, [last?.key, rows.length]);

  useEffect(() => {
    if (atEnd) {
      seen.current = last?.key;
      see();
    }
  }, [atEnd, last?.key, see]);

  return {
    list,
    atEnd,
    unseen: atEnd ? 0 : unseenAfter(rows, seen.current),
    olderFailed,
    onScroll: look,
    // Pictures and the keyboard of a phone change sizes: who was at the end stays there.
    onResize: useCallback(() => (end.current && placed.current ? toEnd() : look()), [toEnd, look]),
    toEnd,
    loadOlder,
  };
}

function unseenAfter(rows: readonly Row[], key: string | undefined): number {
  const from = rows.findLastIndex((row) => row.message.key === key);
  return from === -1 ? 0 : rows.slice(from + 1).filter((row) => !row.message.mine).length;
}

function useOlder(conversationId: string, hasOlder: boolean) {
  const store = useChatStore();
  const [olderFailed, setOlderFailed] = useState(false);
  const loading = useRef(false);

  const loadOlder = useCallback(async (): Promise<void> => {
    if (loading.current) {
      return;
    }
    loading.current = true;
    try {
      await store.loadOlder(conversationId);
      setOlderFailed(false);
    } catch {
      setOlderFailed(true); // shown with a button: asking by itself again would be a storm
    } finally {
      loading.current = false;
    }
  }, [store, conversationId]);

  const loadWhenNear = useCallback(() => {
    if (hasOlder && !olderFailed) {
      void loadOlder();
    }
  }, [hasOlder, olderFailed, loadOlder]);

  return { loadOlder, loadWhenNear, olderFailed };
}

/** Tells the store how far this user has read: what stood in the viewport of a page that somebody looks at. */
function useReadMarker(conversationId: string, rows: readonly Row[], list: RefObject<VListHandle | null>): () => void {
  const store = useChatStore();
  const marked = useRef(0);
  const see = useCallback(() => {
    const handle = list.current;
    if (handle === null || document.visibilityState !== "visible" || !document.hasFocus()) {
      return;
    }
    const bottom = handle.findItemIndex(handle.scrollOffset + handle.viewportSize - 1);
    const read = rows.slice(0, bottom + 1).findLast((row) => row.message.seq !== undefined)?.message.seq ?? 0;
    if (read > marked.current) {
      marked.current = read;
      store.markRead(conversationId, read);
    }
  }, [store, conversationId, rows, list]);

  useEffect(() => {
    window.addEventListener("focus", see);
    document.addEventListener("visibilitychange", see);
    return () => {
      window.removeEventListener("focus", see);
      document.removeEventListener("visibilitychange", see);
    };
  }, [see]);
  return see;
}
