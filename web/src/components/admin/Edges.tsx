/** The edges that say that they are alive, how long ago, and what they carry. */

import { Badge, Stack, Table, Text, Title } from "@mantine/core";
import { IconServerOff } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import type { AdminStats } from "../../service/admin/model";
import { type EdgeView, edgesOf } from "../../service/admin/stats";
import classes from "./Admin.module.css";
import { figure, span } from "./format";
import { Nothing } from "./LoadState";

export function Edges({ stats }: { readonly stats: AdminStats }) {
  const { t } = useTranslation("admin");
  const edges = edgesOf(stats);
  return (
    <Stack component="section" gap="sm" className={classes.card} aria-labelledby="admin-edges">
      <Title order={2} size="h4" id="admin-edges">
        {t("edges.title")}
      </Title>
      {edges.length === 0 ? (
        <Nothing icon={IconServerOff} title={t("edges.none")} />
      ) : (
        <Table className={classes.numbers} aria-labelledby="admin-edges">
          <Table.Thead>
            <Table.Tr>
              <Table.Th scope="col">{t("edges.name")}</Table.Th>
              <Table.Th scope="col" ta="right">
                {t("edges.connections")}
              </Table.Th>
              <Table.Th scope="col" ta="right" visibleFrom="sm">
                {t("edges.frames")}
              </Table.Th>
              <Table.Th scope="col" ta="right" visibleFrom="sm" title={t("edges.trouble_hint")}>
                {t("edges.trouble")}
              </Table.Th>
              <Table.Th scope="col" ta="right" visibleFrom="sm">
                {t("edges.up")}
              </Table.Th>
              <Table.Th scope="col" ta="right">
                {t("edges.heard")}
              </Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {edges.map((edge) => (
              <EdgeRow key={edge.id} edge={edge} now={Date.parse(stats.at)} />
            ))}
          </Table.Tbody>
        </Table>
      )}
    </Stack>
  );
}

function EdgeRow({ edge, now }: { readonly edge: EdgeView; readonly now: number }) {
  const { t, i18n } = useTranslation("admin");
  const number = (value: number): string => figure(value, i18n.language);
  return (
    <Table.Tr>
      <Table.Th scope="row" fw={500} className={classes.name}>
        {edge.id}
      </Table.Th>
      <Table.Td ta="right">{number(edge.connections)}</Table.Td>
      <Table.Td ta="right" visibleFrom="sm">
        {number(edge.framesIn)} / {number(edge.framesOut)}
      </Table.Td>
      <Table.Td ta="right" visibleFrom="sm">
        {number(edge.slowCloses)} / {number(edge.interruptions)}
      </Table.Td>
      <Table.Td ta="right" visibleFrom="sm">
        {span(Math.max(0, now - edge.startedAt), i18n.language)}
      </Table.Td>
      <Table.Td ta="right">
        <Text size="sm" span mr={8}>
          {t("edges.ago", { time: span(edge.lagMs, i18n.language) })}
        </Text>
        <Badge color={edge.late ? "red.8" : "teal.9"} variant="filled" size="sm">
          {edge.late ? t("edges.late") : t("edges.alive")}
        </Badge>
      </Table.Td>
    </Table.Tr>
  );
}
