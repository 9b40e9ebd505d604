/** The newest of what the charts draw, row by row: for whoever reads rather than looks. */

import { Table } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { Sample } from "../../service/admin/stats";
import classes from "./Admin.module.css";
import { clock, figure, span } from "./format";

const ROWS = 15;
const COLUMNS = ["messages", "deliveries", "p50", "p99", "connections", "pushes", "failed", "skipped", "dead"] as const;

export function SampleTable({ samples }: { readonly samples: readonly Sample[] }) {
  const { t, i18n } = useTranslation("admin");
  const text = (name: (typeof COLUMNS)[number], value: number | null): string => {
    if (value === null) return t("none");
    return name === "p50" || name === "p99" ? span(value, i18n.language) : figure(value, i18n.language);
  };
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be scrollable by keys
    <section className={classes.card} style={{ overflowX: "auto" }} tabIndex={0} aria-label={t("overview.table")}>
      <Table className={classes.numbers} aria-label={t("overview.table")}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th scope="col">{t("overview.time")}</Table.Th>
            {COLUMNS.map((name) => (
              <Table.Th key={name} scope="col" ta="right">
                {t(`overview.series.${name}`)}
              </Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {samples
            .slice(-ROWS)
            .reverse()
            .map((sample) => (
              <Table.Tr key={sample.at}>
                <Table.Th scope="row" fw={400}>
                  {clock(sample.at, i18n.language)}
                </Table.Th>
                {COLUMNS.map((name) => (
                  <Table.Td key={name} ta="right">
                    {text(name, sample[name])}
                  </Table.Td>
                ))}
              </Table.Tr>
            ))}
        </Table.Tbody>
      </Table>
    </section>
  );
}
