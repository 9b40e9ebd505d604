/** Where the connection stands, with everything that a report about it needs. */

import { Alert, Badge, Text } from "@mantine/core";
import { IconAlertCircle } from "@tabler/icons-react";
import { Fragment, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { useNow } from "../../hooks/useNow";
import type { Me } from "../../service/chat/model";
import type { Recording } from "../../service/websocket/recorder";
import type { ConnectionState, ConnectionType } from "../../service/websocket/types";
import { byteSize, duration } from "../chat/format";
import { Panel } from "./Panel";
import classes from "./socket.module.css";
import { preciseTime } from "./time";

/** Codes that `close.*` explains; docs/errors.md, and the two that a browser makes up. */
const EXPLAINED: ReadonlySet<number> = new Set([
  1000, 1001, 1002, 1005, 1006, 1007, 1009, 1011, 1012, 4400, 4401, 4403, 4408, 4409, 4413, 4429,
]);

interface Props {
  readonly state: ConnectionState;
  readonly recording: Recording;
  readonly connectionType: ConnectionType;
  readonly me: Me | undefined;
}

export function StatePanel({ state, recording, connectionType, me }: Props) {
  const { t, i18n } = useTranslation(["socket", "app"]);
  const now = useNow(1000);
  const { welcome, status, attempt, retryAt, failure } = state;
  const { socket, lastClosed } = recording;
  const since = welcome && socket?.openedAt;
  const facts: readonly (readonly [key: string, value: ReactNode])[] = [
    ["url", socket?.url],
    ["protocol", socket?.protocols.join(", ")],
    ["edge", welcome?.edgeId],
    ["connection", welcome?.connectionId],
    ["session", since && t("state.lasted", { time: duration(now - since), at: preciseTime(since, i18n.language) })],
    ["user", me && `${me.userId} (${[...me.roles, connectionType].join(", ")})`],
    ["attempt", attempt > 0 ? String(attempt) : undefined],
    ["retry", retryAt && t("state.in_seconds", { seconds: Math.max(0, Math.ceil((retryAt - now) / 1000)) })],
    ["heartbeat", welcome && `${welcome.heartbeatIntervalMs / 1000} s`],
    ["limit", welcome && byteSize(welcome.frameBytesMax, i18n.language)],
    ["features", welcome?.features.join(", ")],
  ];
  return (
    <Panel
      title={t("state.title")}
      actions={
        <Badge variant="light" tt="none" size="lg" className={classes.badge} data-status={status}>
          {t(`app:socket.${status}`)}
        </Badge>
      }
    >
      <dl className={classes.facts}>
        {facts.map(([key, value]) => (
          <Fragment key={key}>
            <dt>{t(`state.${key}`)}</dt>
            <dd>{value || "–"}</dd>
          </Fragment>
        ))}
      </dl>
      {failure !== undefined && lastClosed === undefined && (
        <Alert color="red" variant="light" mt="sm" icon={<IconAlertCircle aria-hidden />} title={failure.code}>
          {failure.message}
        </Alert>
      )}
      {lastClosed !== undefined && <LastClose closed={lastClosed} gone={welcome === undefined} />}
    </Panel>
  );
}

interface CloseProps {
  readonly closed: NonNullable<Recording["lastClosed"]>;
  /** There is no other socket yet. */
  readonly gone: boolean;
}

function LastClose({ closed, gone }: CloseProps) {
  const { t, i18n } = useTranslation("socket");
  const { at, code, reason } = closed;
  return (
    <Alert
      color={gone ? "red" : "gray"}
      variant="light"
      mt="sm"
      icon={<IconAlertCircle aria-hidden />}
      classNames={{ title: classes.alertTitle }}
      title={t("state.closed", { code, at: preciseTime(at, i18n.language) })}
    >
      <Text size="sm">{t(`close.${EXPLAINED.has(code) ? code : "other"}`)}</Text>
      {reason !== "" && (
        <Text size="sm" ff="monospace" mt={4}>
          {t("state.reason", { reason })}
        </Text>
      )}
    </Alert>
  );
}
