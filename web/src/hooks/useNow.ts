/** The time, renewed once a minute (or as often as asked) and when the page is looked at again, for "Today" and "14:05". */

import { useEffect, useState } from "react";

const MINUTE_MS = 60_000;

export function useNow(everyMs = MINUTE_MS): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const renew = (): void => setNow(Date.now());
    const timer = setInterval(renew, everyMs);
    document.addEventListener("visibilitychange", renew);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", renew);
    };
  }, [everyMs]);
  return now;
}
