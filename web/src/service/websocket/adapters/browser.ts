/** The browser as the core sees it: its sockets, clock, network and visibility. The only file here that knows the DOM. */

import type { Cancel, Clock, Environment, Network, Transport, Visibility } from "../types";

const browserTransport: Transport = {
  open(url, protocols, events) {
    const socket = new WebSocket(url, [...protocols]);
    let over = false;
    socket.onopen = () => events.onOpen();
    socket.onmessage = (event) => {
      if (typeof event.data === "string") events.onText(event.data);
    };
    socket.onclose = (event) => {
      if (over) return;
      over = true;
      events.onClose(event.code, event.reason);
    };
    return {
      send(text) {
        // While it closes, a send is lost like one that was on the way: whoever needs an answer has a timeout.
        if (socket.readyState === WebSocket.OPEN) socket.send(text);
      },
      close: (code, reason) => socket.close(code, reason),
    };
  },
};

const browserClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  random: () => Math.random(),
  after(ms, what) {
    // Beyond 2^31 - 1 a browser's timer fires at once.
    const timer = setTimeout(what, Math.min(ms, 0x7fff_ffff));
    return () => clearTimeout(timer);
  },
};

function listen(target: EventTarget, names: readonly string[], listener: () => void): Cancel {
  for (const name of names) target.addEventListener(name, listener);
  return () => {
    for (const name of names) target.removeEventListener(name, listener);
  };
}

const browserNetwork: Network = {
  online: () => navigator.onLine,
  subscribe: (listener) => listen(window, ["online", "offline"], listener),
};

const browserVisibility: Visibility = {
  visible: () => document.visibilityState === "visible",
  subscribe: (listener) => listen(document, ["visibilitychange"], listener),
};

/** Everything that a connection needs of the browser. */
export function browserEnvironment(): Environment {
  return {
    transport: browserTransport,
    clock: browserClock,
    network: browserNetwork,
    visibility: browserVisibility,
  };
}
