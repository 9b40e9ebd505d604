/** The last five minutes, as charts or as a table of the newest figures. */

import "@mantine/charts/styles.css";
import { Group, SegmentedControl, Stack, Title } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import type { Sample } from "../../service/admin/stats";
import classes from "./Admin.module.css";
import { figure, span } from "./format";
import { LiveChart } from "./LiveChart";
import { SampleTable } from "./SampleTable";

export function LiveCharts({ samples }: { readonly samples: readonly Sample[] }) {
  const { t, i18n } = useTranslation("admin");
  const [shown, setShown] = useState("charts");
  const number = (value: number): string => figure(value, i18n.language);
  const time = (value: number): string => span(value, i18n.language);
  return (
    <Stack component="section" gap="sm" aria-labelledby="admin-charts">
      <Group justify="space-between" gap="sm">
        <Title order={2} size="h4" id="admin-charts">
          {t("overview.charts")}
        </Title>
        <SegmentedControl
          size="xs"
          aria-label={t("overview.shown_as")}
          value={shown}
          onChange={setShown}
          data={[
            { value: "charts", label: t("overview.as_charts") },
            { value: "table", label: t("overview.as_table") },
          ]}
        />
      </Group>
      {shown === "table" ? (
        <SampleTable samples={samples} />
      ) : (
        <div className={classes.charts}>
          <LiveChart name="rates" series={["messages", "deliveries"]} samples={samples} format={number} />
          <LiveChart name="latency" series={["p50", "p99"]} samples={samples} format={time} />
          <LiveChart name="connections" series={["connections"]} samples={samples} format={number} />
          <LiveChart name="pushes" series={["pushes", "failed", "skipped", "dead"]} samples={samples} format={number} />
        </div>
      )}
    </Stack>
  );
}
