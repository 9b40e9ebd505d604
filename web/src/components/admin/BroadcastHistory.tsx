/** Broadcasts so far, newest first, and how far those that run are. */

import { Badge, Group, Paper, Progress, Stack, Text, Title } from "@mantine/core";
import { IconSpeakerphone } from "@tabler/icons-react";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import type { Loaded } from "../../hooks/useLoaded";
import type { Broadcast } from "../../service/admin/model";
import classes from "./Admin.module.css";
import { moment } from "./format";
import { Failure, Fetching, Nothing } from "./LoadState";

const FOLLOW_MS = 2_000;

export function BroadcastHistory({ history }: { readonly history: Loaded<readonly Broadcast[]> }) {
  const { t } = useTranslation("admin");
  const { data, error, loading, reload } = history;
  const running = data?.some((one) => !one.done_at) ?? false;
  useEffect(() => {
    // One question after the other's answer, and none after a failure: the button asks again.
    if (!running || loading || error !== undefined) return;
    const timer = setTimeout(reload, FOLLOW_MS);
    return () => clearTimeout(timer);
  }, [running, loading, error, reload]);
  return (
    <Stack component="section" gap="md" className={classes.card} aria-labelledby="admin-broadcasts">
      <Title order={2} size="h4" id="admin-broadcasts">
        {t("broadcast.history")}
      </Title>
      {error !== undefined && <Failure error={error} onRetry={reload} />}
      {data === undefined && loading && <Fetching />}
      {data?.length === 0 && <Nothing icon={IconSpeakerphone} title={t("broadcast.history_none")} />}
      {data !== undefined && data.length > 0 && (
        <ul className={classes.list}>
          {data.map((one) => (
            <li key={one.broadcast_id}>
              <Item one={one} />
            </li>
          ))}
        </ul>
      )}
    </Stack>
  );
}

function Item({ one }: { readonly one: Broadcast }) {
  const { t, i18n } = useTranslation("admin");
  const done = Boolean(one.done_at);
  const progress = t("broadcast.progress", { sent: one.sent, recipients: one.recipients });
  const roles = one.roles.map((role) => t(`role.${role}`, { defaultValue: role }));
  const details = [
    moment(Date.parse(one.created_at), i18n.language),
    one.created_by,
    roles.length === 0 ? t("broadcast.everybody") : roles.join(", "),
    progress,
  ];
  return (
    <Paper withBorder p="sm">
      <Group justify="space-between" gap="xs" wrap="nowrap" align="flex-start">
        <Text size="sm" fw={600} className={classes.text}>
          {one.title}
        </Text>
        <Group gap={6} wrap="nowrap">
          {one.is_important && (
            <Badge color="red.8" variant="filled" tt="none">
              {t("broadcast.important")}
            </Badge>
          )}
          <Badge color={done ? "teal.9" : "blue.8"} variant="filled" tt="none">
            {t(done ? "broadcast.done" : "broadcast.running")}
          </Badge>
        </Group>
      </Group>
      <Text size="sm" lineClamp={2} className={classes.text}>
        {one.content}
      </Text>
      <Text size="xs" c="dimmed" mt={4}>
        {details.join(" · ")}
      </Text>
      {!done && (
        <Progress.Root size="sm" mt="xs">
          <Progress.Section
            value={one.recipients === 0 ? 0 : (one.sent / one.recipients) * 100}
            aria-label={progress}
          />
        </Progress.Root>
      )}
    </Paper>
  );
}
