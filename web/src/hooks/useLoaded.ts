/** Something that is fetched when a component is shown, and again when asked; the last answer that was asked for wins. */

import { useCallback, useEffect, useRef, useState } from "react";

export interface Loaded<T> {
  /** Stays while it is fetched anew, and when that fails. */
  readonly data: T | undefined;
  readonly error: unknown;
  readonly loading: boolean;
  readonly reload: () => void;
  /** Puts something in its place that is known already, such as the next page behind it. */
  readonly replace: (change: (data: T) => T) => void;
}

interface Held<T> {
  readonly data: T | undefined;
  readonly error: unknown;
  readonly loading: boolean;
}

/** `load` must stay the same function for as long as it would fetch the same. */
export function useLoaded<T>(load: () => Promise<T>): Loaded<T> {
  const [held, setHeld] = useState<Held<T>>({ data: undefined, error: undefined, loading: true });
  const newest = useRef(0);

  const reload = useCallback((): void => {
    newest.current += 1;
    const asked = newest.current;
    setHeld((before) => ({ ...before, loading: true }));
    load().then(
      (data) => asked === newest.current && setHeld({ data, error: undefined, loading: false }),
      (error: unknown) => asked === newest.current && setHeld((before) => ({ ...before, error, loading: false })),
    );
  }, [load]);

  useEffect(() => {
    reload();
    return () => {
      newest.current += 1;
    };
  }, [reload]);

  const replace = useCallback((change: (data: T) => T): void => {
    setHeld((before) => (before.data === undefined ? before : { ...before, data: change(before.data) }));
  }, []);

  return { ...held, reload, replace };
}
