/** What /test-websocket works with: a connection of its own through a cable that can be pulled, and all that it does. */

import { useEffect, useState, useSyncExternalStore } from "react";
import { FaultyWorld } from "../service/websocket/faults";
import { type Recording, SocketRecorder } from "../service/websocket/recorder";
import type { Environment } from "../service/websocket/types";
import { type PageConnection, usePageConnection } from "./usePageConnection";

export interface SocketBench extends PageConnection {
  readonly cable: FaultyWorld;
  readonly recorder: SocketRecorder;
  readonly recording: Recording;
}

/** `world` is looked at once. */
export function useSocketBench(pathname: string, world: () => Environment): SocketBench {
  const [{ cable, recorder }] = useState(() => {
    const made = new FaultyWorld(world());
    return { cable: made, recorder: new SocketRecorder(made) };
  });
  // With an environment of its own it is no tab's share of another socket: what goes over the wire is seen here.
  const page = usePageConnection(pathname, { environment: recorder });
  const { connection } = page;
  useEffect(() => connection && recorder.watch(connection), [connection, recorder]);
  const [subscribe] = useState(() => (listener: () => void) => recorder.subscribe(listener));
  const recording = useSyncExternalStore(subscribe, () => recorder.recording);
  return { ...page, cable, recorder, recording };
}
