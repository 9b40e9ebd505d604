/** Which states the connection went through, newest first, and why. */

import { ScrollArea, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { RecordedState } from "../../service/websocket/recorder";
import { Panel } from "./Panel";
import classes from "./socket.module.css";
import { preciseTime } from "./time";

export function StateHistory({ states }: { readonly states: readonly RecordedState[] }) {
  const { t, i18n } = useTranslation(["socket", "app"]);
  return (
    <Panel title={t("history.title")}>
      <ScrollArea.Autosize mah={170} viewportProps={{ tabIndex: 0, role: "group", "aria-label": t("history.title") }}>
        <ol className={classes.history} aria-label={t("history.title")}>
          {[...states].reverse().map(({ id, at, status, why }) => (
            <li key={id}>
              <time className={classes.time} dateTime={new Date(at).toISOString()}>
                {preciseTime(at, i18n.language)}
              </time>
              <span className={classes.dot} data-status={status} aria-hidden />
              <span>
                {t(`app:socket.${status}`)}
                {why !== undefined && (
                  <Text span size="sm" c="dimmed">
                    {" "}
                    {why}
                  </Text>
                )}
              </span>
            </li>
          ))}
        </ol>
      </ScrollArea.Autosize>
    </Panel>
  );
}
