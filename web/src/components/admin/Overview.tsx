/** What goes on right now: figures, charts, edges, and who is there with what. */

import { Alert, Group, Loader, Stack, Text } from "@mantine/core";
import { IconAlertCircle, IconClockPause } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import type { LiveStats } from "../../hooks/useAdminStats";
import { useWhy } from "../../hooks/useWhy";
import { DEVICE_TYPES, HUMAN_ROLES } from "../../service/admin/model";
import classes from "./Admin.module.css";
import { Edges } from "./Edges";
import { clock } from "./format";
import { LiveCharts } from "./LiveCharts";
import { Shares } from "./Shares";
import { StatTiles } from "./StatTiles";

interface Props {
  readonly live: LiveStats;
  readonly isConnected: boolean;
}

export function Overview({ live, isConnected }: Props) {
  const { t, i18n } = useTranslation("admin");
  const why = useWhy();
  const { latest, samples } = live.window;
  if (latest === undefined) {
    return live.error === undefined ? (
      <Group justify="center" py="xl" role="status">
        <Loader size="sm" aria-hidden />
        <Text c="dimmed">{t("overview.waiting")}</Text>
      </Group>
    ) : (
      <Alert color="red" variant="light" role="alert" icon={<IconAlertCircle aria-hidden />}>
        {t("overview.unavailable", { why: why(live.error) })}
      </Alert>
    );
  }
  const time = clock(Date.parse(latest.at), i18n.language);
  const stale = live.error !== undefined && !isConnected;
  return (
    <Stack gap="lg">
      {stale && (
        <Alert
          color="orange"
          variant="light"
          role="status"
          icon={<IconClockPause aria-hidden />}
          title={t("overview.stale")}
        >
          {t("overview.stale_hint", { time })}
        </Alert>
      )}
      <StatTiles stats={latest} />
      <LiveCharts samples={samples} />
      <Edges stats={latest} />
      <div className={classes.split}>
        <Shares title={t("overview.by_device")} counts={latest.by_device} known={DEVICE_TYPES} prefix="device" />
        <Shares title={t("overview.by_role")} counts={latest.by_role} known={HUMAN_ROLES} prefix="role" />
      </div>
      <Text size="xs" c="dimmed">
        {t("overview.as_of", { time })}
      </Text>
    </Stack>
  );
}
