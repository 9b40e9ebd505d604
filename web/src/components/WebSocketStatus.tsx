/** Shows a page's connection at once when it changes, and lets people connect and disconnect it. */

import { ActionIcon, Group, Text, Tooltip } from "@mantine/core";
import { IconPlugConnected, IconPlugConnectedX } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import type { WebSocketByPage } from "../hooks/useWebSocketByPage";
import type { ConnectionStatus } from "../service/websocket/types";
import classes from "./WebSocketStatus.module.css";

export type WebSocketStatusProps = Pick<
  WebSocketByPage,
  "isConnected" | "connectionStatus" | "isEnabled" | "connectionType" | "connect" | "disconnect"
>;

/** Somebody wants a connection, whether there is one or not. */
const WANTED: ReadonlySet<ConnectionStatus> = new Set(["connecting", "connected", "reconnecting", "offline"]);

export function WebSocketStatus(props: WebSocketStatusProps) {
  const { isConnected, connectionStatus, isEnabled, connectionType, connect, disconnect } = props;
  const { t } = useTranslation("app");
  const wanted = WANTED.has(connectionStatus);
  const action = wanted ? t("socket.disconnect") : t("socket.connect");
  return (
    <Group gap={8} wrap="nowrap" className={classes.status} data-testid="websocket-status">
      <span
        className={classes.dot}
        data-status={isEnabled ? connectionStatus : "disabled"}
        data-connected={isConnected || undefined}
        aria-hidden
      />
      <Text size="sm" c="dimmed" role="status" truncate>
        {t(isEnabled ? `socket.${connectionStatus}` : "socket.disabled")}
        {isEnabled && connectionType === "admin" && ` · ${t("socket.admin")}`}
      </Text>
      {isEnabled && (
        <Tooltip label={action}>
          <ActionIcon
            variant="subtle"
            color="gray"
            size="md"
            aria-label={action}
            onClick={wanted ? disconnect : connect}
          >
            {wanted ? <IconPlugConnectedX size={16} /> : <IconPlugConnected size={16} />}
          </ActionIcon>
        </Tooltip>
      )}
    </Group>
  );
}
