/** One chart of the live window: a picture with a name that says its newest figures, and a line that breaks where none came. */

import { LineChart } from "@mantine/charts";
import { useId } from "react";
import { useTranslation } from "react-i18next";
import { type Sample, WINDOW_MS } from "../../service/admin/stats";
import classes from "./Admin.module.css";
import { clock } from "./format";

export type SeriesName = Exclude<keyof Sample, "at">;

interface Props {
  readonly name: "connections" | "rates" | "latency" | "pushes";
  readonly series: readonly SeriesName[];
  readonly samples: readonly Sample[];
  readonly format: (value: number) => string;
}

/** Lines differ in colour and in dashes. */
const LOOKS = [
  { color: "lagoon.6" },
  { color: "orange.8", strokeDasharray: "6 4" },
  { color: "gray.6", strokeDasharray: "2 3" },
  { color: "red.8", strokeDasharray: "10 3 2 3" },
] as const;
/** Another few minutes of the same height do not jump because of one connection more. */
const SCALE = { allowDecimals: false, domain: [0, "auto"], width: 64 } as const;
/** Not by name. */
const IN_ORDER = { itemSorter: null } as const;
const STILL = { isAnimationActive: false };

export function LiveChart({ name, series, samples, format }: Props) {
  const { t, i18n } = useTranslation("admin");
  const caption = useId();
  const title = t(`overview.chart.${name}`);
  const last = samples.at(-1);
  const newest = series.map((one) => {
    const value = last?.[one];
    return `${t(`overview.series.${one}`)} ${typeof value === "number" ? format(value) : t("none")}`;
  });
  const end = last?.at ?? 0;
  return (
    <figure className={classes.figure} aria-labelledby={caption}>
      <figcaption id={caption} className={classes.caption}>
        {title}
      </figcaption>
      <div role="img" aria-label={t("overview.chart_now", { title, figures: newest.join(", ") })}>
        <LineChart
          h={200}
          data={[...samples]}
          dataKey="at"
          series={series.map((one, index) => ({
            name: one,
            label: t(`overview.series.${one}`),
            ...(LOOKS[index] ?? LOOKS[0]),
          }))}
          curveType="linear"
          withDots={false}
          connectNulls={false}
          withLegend={series.length > 1}
          legendProps={IN_ORDER}
          accessibilityLayer={false}
          lineProps={STILL}
          valueFormatter={format}
          yAxisProps={SCALE}
          xAxisProps={{
            type: "number",
            scale: "time",
            domain: [end - WINDOW_MS, end],
            ticks: [4, 3, 2, 1, 0].map((minutes) => end - minutes * 60_000),
            tickFormatter: (at: number) => clock(at, i18n.language),
          }}
          tooltipProps={{ labelFormatter: (at) => clock(Number(at), i18n.language), isAnimationActive: false }}
        />
      </div>
    </figure>
  );
}
