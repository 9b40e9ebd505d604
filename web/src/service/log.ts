/** One line per stage of a message's way through the client, so that "not shown at once" can be followed to the component. */

/** In the order in which a message meets them; the servers' logs use words of the same kind. */
export type Stage =
  /** The connection's state changed. */
  | "connection"
  /** A frame came from the socket, or from the tab that has it. */
  | "received"
  /** It found its place in its stream, or waits above a gap. */
  | "merged"
  /** Something missing was asked for: a sync or a repair. */
  | "repair"
  /** The state that components see has it. */
  | "stored"
  /** A component has drawn it. */
  | "rendered"
  /** A message of this user is on its way. */
  | "outbox"
  | "upload"
  | "auth";

export type Fields = Readonly<Record<string, string | number | boolean | undefined>>;
export type Log = (stage: Stage, fields: Fields) => void;

const SECRET = /token|password|secret|authorization|content|text/i;

/** A line such as `natter received action=new_message stream=conversation:1 seq=7`. Never a token, never what was said. */
export function logLine(stage: Stage, fields: Fields): string {
  const words = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${SECRET.test(name) ? "…" : quoted(value)}`);
  return ["natter", stage, ...words].join(" ");
}

function quoted(value: Fields[string]): string {
  const text = String(value);
  return /[\s"=]/.test(text) ? JSON.stringify(text) : text;
}

const SWITCH = "natter.log";

/** Logs to the console's level `debug`, which a browser hides until somebody asks for it; `storage["natter.log"] = "off"` ends it. */
export function consoleLog(storage?: Pick<Storage, "getItem">): Log {
  return (stage, fields) => {
    try {
      if (storage?.getItem(SWITCH) === "off") return;
    } catch {
      // A storage that may not be read has nothing to say.
    }
    console.debug(logLine(stage, fields));
  };
}

export const silentLog: Log = () => undefined;
