/** More frames at once than the server takes, to see what it answers. */

import { RequestError } from "../../service/websocket/core/errors";
import type { Connection } from "../../service/websocket/types";

/** As many as a connection lets wait for their answers. */
export const FLOOD_FRAMES = 200;

/** How often each answer came: `pong`, or the code of an error. */
export type Tally = Readonly<Record<string, number>>;

/** Sends `count` pings without waiting in between; resolves when each has an answer, or will not get one. */
export async function flood(
  connection: Pick<Connection, "ask">,
  onTally: (tally: Tally) => void,
  count = FLOOD_FRAMES,
): Promise<Tally> {
  const tally: Record<string, number> = {};
  const note = (answer: string) => {
    tally[answer] = (tally[answer] ?? 0) + 1;
    onTally({ ...tally });
  };
  const one = () =>
    connection.ask("ping", {}).then(
      () => note("pong"),
      (error: unknown) => note(error instanceof RequestError ? error.code : "internal"),
    );
  await Promise.all(Array.from({ length: Math.min(count, FLOOD_FRAMES) }, one));
  return tally;
}
