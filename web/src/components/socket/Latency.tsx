/** Round trips of ping and pong: as they come by themselves, once, or each second. */

import { LineChart } from "@mantine/charts";
import { Button, Group, Switch, Text } from "@mantine/core";
import { useEffect, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { percentile, type Sample } from "../../service/websocket/roundTrips";
import type { Connection } from "../../service/websocket/types";
import { Panel } from "./Panel";
import classes from "./socket.module.css";
import { preciseTime } from "./time";

const EACH_MS = 1_000;

interface Props {
  readonly connection: Connection | undefined;
  readonly connected: boolean;
  readonly samples: readonly Sample[];
  readonly onClear: () => void;
}

export function Latency({ connection, connected, samples, onClear }: Props) {
  const { t, i18n } = useTranslation("socket");
  const [measuring, setMeasuring] = usePings(connection);
  const figures = useMemo(() => {
    const all = samples.map(({ ms }) => ms);
    return { last: all.at(-1), p50: percentile(all, 0.5), p99: percentile(all, 0.99) };
  }, [samples]);
  const points = useMemo(
    () => samples.map(({ at, ms }) => ({ at: preciseTime(at, i18n.language).slice(0, 8), ms: rounded(ms) })),
    [samples, i18n.language],
  );
  const summary = t("latency.summary", {
    count: samples.length,
    last: shown(figures.last),
    p50: shown(figures.p50),
    p99: shown(figures.p99),
  });
  const actions = (
    <Group gap="sm">
      <Switch
        label={t("latency.each_second")}
        checked={measuring}
        onChange={(event) => setMeasuring(event.currentTarget.checked)}
      />
      <Button size="compact-sm" variant="default" disabled={!connected} onClick={() => connection?.send("ping", {})}>
        {t("latency.ping")}
      </Button>
      <Button size="compact-sm" variant="default" disabled={samples.length === 0} onClick={onClear}>
        {t("clear")}
      </Button>
    </Group>
  );
  return (
    <Panel title={t("latency.title")} actions={actions}>
      <dl className={classes.figures}>
        {(["last", "p50", "p99"] as const).map((name) => (
          <div key={name}>
            <dt>{t(`latency.${name}`)}</dt>
            <dd>{shown(figures[name])}</dd>
          </div>
        ))}
      </dl>
      {points.length < 2 ? (
        <Text c="dimmed" size="sm" className={classes.noChart}>
          {t("latency.none")}
        </Text>
      ) : (
        <div role="img" aria-label={summary}>
          <LineChart
            h={130}
            data={points}
            dataKey="at"
            series={[{ name: "ms", label: t("latency.round_trip"), color: "lagoon.6" }]}
            withDots={false}
            curveType="linear"
            unit=" ms"
            tickLine="none"
            gridAxis="y"
            yAxisProps={{ width: 64 }}
            xAxisProps={{ minTickGap: 40 }}
            lineChartProps={{ accessibilityLayer: false }}
            lineProps={{ isAnimationActive: false }}
          />
        </div>
      )}
    </Panel>
  );
}

/** Pings each second while it is switched on, for as long as the page is shown. */
function usePings(connection: Connection | undefined): [boolean, (on: boolean) => void] {
  const [on, setOn] = useState(false);
  useEffect(() => {
    if (!on || connection === undefined) return;
    const timer = setInterval(() => connection.send("ping", {}), EACH_MS);
    return () => clearInterval(timer);
  }, [on, connection]);
  return [on, setOn];
}

/** To a tenth of a millisecond. */
function rounded(ms: number): number {
  return Math.round(ms * 10) / 10;
}

function shown(ms: number | undefined): string {
  return ms === undefined ? "–" : `${rounded(ms)} ms`;
}
