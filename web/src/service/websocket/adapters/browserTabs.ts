/** Web Locks and BroadcastChannel as what tabs need to share a socket. */

import type { Tabs } from "../tabs";

/** Undefined where the browser lacks one of them (a page without TLS has no locks): then each tab has its own socket. */
export function browserTabs(): Tabs | undefined {
  const { locks } = navigator as { locks?: LockManager };
  if (locks === undefined || typeof BroadcastChannel === "undefined") return undefined;
  return {
    exclusive: async (name, signal, work) => void (await locks.request(name, { signal }, work)),
    channel(name) {
      const channel = new BroadcastChannel(name);
      return {
        post: (message) => channel.postMessage(message),
        subscribe(listener) {
          const heard = (event: MessageEvent) => listener(event.data);
          channel.addEventListener("message", heard);
          return () => channel.removeEventListener("message", heard);
        },
        close: () => channel.close(),
      };
    },
  };
}
