/** The message list by keyboard: arrows move between messages, Enter opens the menu, letters do what it offers. */

import { type KeyboardEvent, type RefObject, useCallback, useState } from "react";
import type { VListHandle } from "virtua";
import type { MessageActions } from "../components/chat/actions";
import { byKey } from "../components/chat/MessageMenu";
import type { Row } from "../components/chat/rows";

const PAGE = 10;

interface Active {
  readonly key: string;
  /** Counts moves, so that moving to the same message again focuses it again. */
  readonly move: number;
}

export interface MessageKeys {
  /** The one message of the list that the Tab key stops at; the last one at first. */
  readonly activeKey: string | undefined;
  readonly focus: number | undefined;
  readonly menuKey: string | undefined;
  readonly onKeyDown: (event: KeyboardEvent<HTMLElement>) => void;
  readonly onMenu: (key: string, opened: boolean) => void;
  readonly activate: (key: string) => void;
}

export function useMessageKeys(
  rows: readonly Row[],
  list: RefObject<VListHandle | null>,
  actions: MessageActions,
): MessageKeys {
  const [active, setActive] = useState<Active>();
  const [menuKey, setMenuKey] = useState<string>();
  const found = rows.findIndex((row) => row.message.key === active?.key);
  const index = found === -1 ? lastReal(rows) : found;
  const message = rows[index]?.message;

  const activate = useCallback((key: string) => setActive((now) => ({ key, move: (now?.move ?? 0) + 1 })), []);

  const onKeyDown = (event: KeyboardEvent<HTMLElement>): void => {
    // Keys pressed in a button or a menu within a message belong to that.
    if (!(event.target instanceof HTMLElement) || event.target.dataset.message === undefined || message === undefined) {
      return;
    }
    const to = target(event.key, index, rows);
    if (to !== undefined) {
      event.preventDefault();
      list.current?.scrollToIndex(to, { align: "nearest" });
      activate(rows[to]?.message.key ?? message.key);
    } else if (event.key === "Enter" || event.key === "ContextMenu" || (event.key === "F10" && event.shiftKey)) {
      event.preventDefault();
      setMenuKey(message.key);
    } else if (!event.ctrlKey && !event.metaKey && !event.altKey && byKey(event.key, message, actions)) {
      event.preventDefault();
    }
  };

  const onMenu = useCallback(
    (key: string, opened: boolean) => setMenuKey((now) => (opened ? key : now === key ? undefined : now)),
    [],
  );

  return {
    activeKey: message?.key,
    focus: found === -1 ? undefined : active?.move,
    menuKey,
    onKeyDown,
    onMenu,
    activate,
  };
}

function target(key: string, index: number, rows: readonly Row[]): number | undefined {
  const step = { ArrowUp: -1, ArrowDown: 1, PageUp: -PAGE, PageDown: PAGE, Home: -rows.length, End: rows.length }[key];
  if (step === undefined) {
    return undefined;
  }
  const wanted = Math.min(rows.length - 1, Math.max(0, index + step));
  const onward = Math.sign(step);
  // Notices of the system take no focus.
  for (const direction of [onward, -onward]) {
    for (let at = wanted; at >= 0 && at < rows.length; at += direction) {
      if (rows[at]?.message.kind !== "system") {
        return at;
      }
    }
  }
  return undefined;
}

function lastReal(rows: readonly Row[]): number {
  return rows.findLastIndex((row) => row.message.kind !== "system");
}
