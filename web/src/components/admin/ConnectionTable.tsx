/** Open connections, one a row; on a phone the edge stands below the device. */

import { ActionIcon, Badge, Table, Text, Tooltip, VisuallyHidden } from "@mantine/core";
import { IconDeviceDesktop, IconDeviceMobile, IconDeviceTablet, IconPlugConnectedX } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { useNow } from "../../hooks/useNow";
import type { AdminConnection } from "../../service/admin/model";
import classes from "./Admin.module.css";
import { moment, span } from "./format";

const ICONS = { mobile: IconDeviceMobile, tablet: IconDeviceTablet, desktop: IconDeviceDesktop } as const;

interface Props {
  readonly connections: readonly AdminConnection[];
  readonly onDisconnect: (connection: AdminConnection) => void;
}

export function ConnectionTable({ connections, onDisconnect }: Props) {
  const { t } = useTranslation("admin");
  const now = useNow();
  return (
    <Table aria-labelledby="admin-connections" verticalSpacing="sm">
      <Table.Thead>
        <Table.Tr>
          <Table.Th scope="col">{t("connections.user")}</Table.Th>
          <Table.Th scope="col">{t("connections.device")}</Table.Th>
          <Table.Th scope="col" visibleFrom="sm">
            {t("connections.edge")}
          </Table.Th>
          <Table.Th scope="col" visibleFrom="xs">
            {t("connections.since")}
          </Table.Th>
          <Table.Th scope="col">
            <VisuallyHidden>{t("connections.actions")}</VisuallyHidden>
          </Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {connections.map((one) => (
          <Row key={one.connection_id} one={one} now={now} onDisconnect={onDisconnect} />
        ))}
      </Table.Tbody>
    </Table>
  );
}

interface RowProps extends Pick<Props, "onDisconnect"> {
  readonly one: AdminConnection;
  readonly now: number;
}

function Row({ one, now, onDisconnect }: RowProps) {
  const { t, i18n } = useTranslation("admin");
  const since = Date.parse(one.connected_at);
  const device = t(`device.${one.device_type}`);
  const name = t("connections.disconnect_of", { user: one.user_id, device });
  const Icon = ICONS[one.device_type];
  return (
    <Table.Tr>
      <Table.Th scope="row" fw={400}>
        <Text size="sm" fw={600} className={classes.id}>
          {one.user_id}
        </Text>
        <Text size="xs" c="dimmed">
          {(one.roles ?? []).map((role) => t(`role.${role}`, { defaultValue: role })).join(", ")}
        </Text>
      </Table.Th>
      <Table.Td>
        <Text size="sm" className={classes.device}>
          <Icon size={16} aria-hidden />
          {device}
        </Text>
        <Text size="xs" c="dimmed">
          {t(one.idle ? "connections.idle" : "connections.active")}
        </Text>
        {one.connection_type === "admin" && (
          <Badge size="sm" variant="default">
            {t("connections.admin")}
          </Badge>
        )}
        <Text size="xs" c="dimmed" hiddenFrom="sm">
          {one.edge_id}
        </Text>
      </Table.Td>
      <Table.Td visibleFrom="sm">{one.edge_id}</Table.Td>
      <Table.Td visibleFrom="xs">
        <time dateTime={one.connected_at} title={moment(since, i18n.language)}>
          {t("edges.ago", { time: span(Math.max(0, now - since), i18n.language) })}
        </time>
      </Table.Td>
      <Table.Td ta="right">
        <Tooltip label={t("connections.disconnect")}>
          <ActionIcon variant="subtle" color="red" size="lg" aria-label={name} onClick={() => onDisconnect(one)}>
            <IconPlugConnectedX size={18} />
          </ActionIcon>
        </Tooltip>
      </Table.Td>
    </Table.Tr>
  );
}
