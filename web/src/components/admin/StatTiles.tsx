/** The newest figures in words and numbers: what the charts show, for those who do not see them. */

import { VisuallyHidden } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { AdminStats } from "../../service/admin/model";
import classes from "./Admin.module.css";
import { figure, span } from "./format";

interface Tile {
  readonly name: string;
  readonly value: string;
  readonly small?: boolean;
}

export function StatTiles({ stats }: { readonly stats: AdminStats }) {
  const { t, i18n } = useTranslation("admin");
  return (
    <section aria-labelledby="admin-now">
      <VisuallyHidden>
        <h2 id="admin-now">{t("overview.now")}</h2>
      </VisuallyHidden>
      <dl className={classes.tiles}>
        {tilesOf(stats, i18n.language).map(({ name, value, small }) => (
          <div key={name} className={`${classes.tile} ${small ? classes.small : ""}`}>
            <dt>{t(`overview.${name}`)}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function tilesOf(stats: AdminStats, language: string): readonly Tile[] {
  const number = (value: number | undefined): string => figure(value ?? 0, language);
  const ms = (value: number | null | undefined, factor = 1): string =>
    value === null || value === undefined ? "–" : span(value * factor, language);
  return [
    { name: "connections", value: number(stats.connections) },
    { name: "users_online", value: number(stats.users_online) },
    { name: "messages", value: number(stats.messages_per_s) },
    { name: "deliveries", value: number(stats.deliveries_per_s) },
    { name: "p50", value: ms(stats.delivery_p50_ms) },
    { name: "p99", value: ms(stats.delivery_p99_ms) },
    { name: "pushes", value: number(stats.pushes_per_s), small: true },
    { name: "relay_lag", value: ms(stats.relay_lag_s, 1000), small: true },
    { name: "fanout_lag", value: ms(stats.fanout_lag_s, 1000), small: true },
    { name: "slow_closes", value: number(stats.slow_closes), small: true },
    { name: "interruptions", value: number(stats.nats_interruptions), small: true },
    { name: "gaps", value: number(stats.gaps_healed), small: true },
  ];
}
