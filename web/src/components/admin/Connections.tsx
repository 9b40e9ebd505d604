/** Who is connected with what and where, and a way to close their sockets. */

import { Button, Group, Stack, Text, Title } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { IconPlugConnectedX, IconRefresh } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useConnections } from "../../hooks/useConnections";
import type { AdminConnection, ConnectionFilter } from "../../service/admin/model";
import classes from "./Admin.module.css";
import { ConnectionFilters } from "./ConnectionFilters";
import { ConnectionTable } from "./ConnectionTable";
import { DisconnectDialog } from "./DisconnectDialog";
import { Failure, Fetching, Nothing } from "./LoadState";

const TYPING_MS = 300;
const NO_FILTER: ConnectionFilter = {};

interface Props {
  /** Names of the edges that are alive, to choose from. */
  readonly edges: readonly string[];
}

export function Connections({ edges }: Props) {
  const { t } = useTranslation("admin");
  const [filter, setFilter] = useState(NO_FILTER);
  const [settled] = useDebouncedValue(filter, TYPING_MS);
  const [closing, setClosing] = useState<AdminConnection>();
  const { data, error, loading, reload, loadMore, forget } = useConnections(settled);
  const filtered = Object.values(settled).some((value) => value !== undefined && value !== "");
  return (
    <Stack component="section" gap="md" className={classes.card} aria-labelledby="admin-connections">
      <Group justify="space-between">
        <Title order={2} size="h4" id="admin-connections">
          {t("connections.title")}
        </Title>
        <Button
          variant="default"
          size="sm"
          leftSection={<IconRefresh size={16} aria-hidden />}
          loading={loading && data !== undefined}
          onClick={reload}
        >
          {t("refresh")}
        </Button>
      </Group>
      <ConnectionFilters filter={filter} edges={edges} onChange={setFilter} />
      {error !== undefined && <Failure error={error} onRetry={reload} />}
      {data === undefined && loading && <Fetching />}
      {data !== undefined && (
        <>
          <Text size="sm" c="dimmed" role="status">
            {t("connections.count", { count: data.count })}
          </Text>
          {data.connections.length > 0 && <ConnectionTable connections={data.connections} onDisconnect={setClosing} />}
        </>
      )}
      {data?.connections.length === 0 && (
        <Nothing icon={IconPlugConnectedX} title={t(filtered ? "connections.none_filtered" : "connections.none")}>
          {filtered && (
            <Button variant="default" onClick={() => setFilter(NO_FILTER)}>
              {t("connections.clear")}
            </Button>
          )}
        </Nothing>
      )}
      {data?.next_cursor && (
        <Button variant="default" onClick={() => void loadMore()}>
          {t("more")}
        </Button>
      )}
      {closing !== undefined && (
        <DisconnectDialog connection={closing} onClose={() => setClosing(undefined)} onDone={forget} />
      )}
    </Stack>
  );
}
