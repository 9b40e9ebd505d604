/** Says that nothing goes out at the moment, once that lasts long enough to be worth a word. */

import { IconCloudOff, IconRefresh } from "@tabler/icons-react";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { useChat } from "../../hooks/useChat";
import type { ConnectionStatus } from "../../service/chat/model";
import classes from "./Chat.module.css";

/** A train's tunnel is worth it, a change of cells is not. */
const PATIENCE_MS = 1200;

type Trouble = "reconnecting" | "offline" | "failed";

export function ConnectionBanner() {
  const { t } = useTranslation("chat");
  const status = useChat((snapshot) => snapshot.status);
  const trouble = useLasting(troubleOf(status));
  return (
    <div role="status">
      {trouble && (
        <div className={classes.banner} data-status={trouble}>
          {trouble === "reconnecting" ? <IconRefresh size={16} aria-hidden /> : <IconCloudOff size={16} aria-hidden />}
          {t(`status.${trouble}`)}
        </div>
      )}
    </div>
  );
}

function troubleOf(status: ConnectionStatus): Trouble | undefined {
  return status === "reconnecting" || status === "offline" || status === "failed" ? status : undefined;
}

/** Good news at once, bad news late. */
function useLasting(trouble: Trouble | undefined): Trouble | undefined {
  const [shown, setShown] = useState<Trouble>();
  useEffect(() => {
    const timer = setTimeout(() => setShown(trouble), trouble === undefined ? 0 : PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [trouble]);
  return trouble && shown && trouble;
}
