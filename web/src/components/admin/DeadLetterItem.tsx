/** One push that nobody took, and what the push services said. */

import { Badge, Checkbox, Group, Paper, Text } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { DeadLetter } from "../../service/admin/model";
import classes from "./Admin.module.css";
import { moment } from "./format";

interface Props {
  readonly push: DeadLetter;
  readonly checked: boolean;
  readonly onCheck: (id: number, on: boolean) => void;
}

export function DeadLetterItem({ push, checked, onCheck }: Props) {
  const { t, i18n } = useTranslation("admin");
  const user = push.user_id;
  return (
    <Paper withBorder p="sm">
      <Group align="flex-start" wrap="nowrap" gap="md">
        <Checkbox
          mt={2}
          aria-label={t("dead.select", { user })}
          checked={checked}
          onChange={({ currentTarget }) => onCheck(push.id, currentTarget.checked)}
        />
        <div className={classes.id}>
          <Group gap="xs">
            <Text size="sm" fw={600}>
              {t("dead.to", { user })}
            </Text>
            {push.provider && (
              <Badge variant="default" size="sm" tt="none">
                {push.provider}
              </Badge>
            )}
          </Group>
          <Text size="sm" c="var(--mantine-color-error)" className={classes.text}>
            {errorOf(push) ?? t("dead.no_error")}
          </Text>
          <Text size="xs" c="dimmed">
            {[
              t(`reason.${push.reason}`, { defaultValue: push.reason }),
              t("dead.attempts", { count: push.attempts ?? 0 }),
              moment(Date.parse(push.received_at), i18n.language),
            ].join(" · ")}
          </Text>
        </div>
      </Group>
    </Paper>
  );
}

/** Its own error, or else the first of its devices'. */
function errorOf({ last_error, devices = [] }: DeadLetter): string | undefined {
  return last_error ?? devices.find((device) => device.last_error)?.last_error ?? undefined;
}
