/** JSON as a tree whose objects and lists can be opened and closed; text stays text. */

import { isRecord } from "../../service/websocket/core/serializer";
import classes from "./socket.module.css";

/** Of a longer list the beginning is shown: all of it can be copied. */
const CHILDREN_MAX = 100;
/** Deeper ones are closed at first. */
const OPEN_DEPTH = 2;

interface Props {
  readonly value: unknown;
  readonly name?: string;
  readonly depth?: number;
}

export function JsonTree({ value, name, depth = 0 }: Props) {
  const label = name === undefined ? null : <span className={classes.key}>{name}: </span>;
  const children = childrenOf(value);
  if (children === undefined || children.length === 0) {
    return (
      <div className={classes.leaf}>
        {label}
        <span data-type={value === null ? "null" : typeof value} className={classes.value}>
          {JSON.stringify(value)}
        </span>
      </div>
    );
  }
  return (
    <details open={depth < OPEN_DEPTH} className={classes.branch}>
      <summary>
        {label}
        <span className={classes.value}>{Array.isArray(value) ? `[${children.length}]` : `{${children.length}}`}</span>
      </summary>
      {children.slice(0, CHILDREN_MAX).map(([key, child]) => (
        <JsonTree key={key} name={key} value={child} depth={depth + 1} />
      ))}
      {children.length > CHILDREN_MAX && <div className={classes.leaf}>… {children.length - CHILDREN_MAX}</div>}
    </details>
  );
}

function childrenOf(value: unknown): readonly [string, unknown][] | undefined {
  if (Array.isArray(value)) return value.map((child: unknown, index) => [String(index), child]);
  return isRecord(value) ? Object.entries(value) : undefined;
}
