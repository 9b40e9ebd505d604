/** What stands where something is still being fetched, could not be, or is not there at all. */

import { Alert, Button, Center, EmptyState, Group, Loader, Text } from "@mantine/core";
import { type Icon, IconAlertCircle } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { useWhy } from "../../hooks/useWhy";

export function Fetching() {
  const { t } = useTranslation("admin");
  return (
    <Center py="xl" role="status">
      <Group gap="sm">
        <Loader size="sm" aria-hidden />
        <Text c="dimmed">{t("loading")}</Text>
      </Group>
    </Center>
  );
}

interface FailureProps {
  readonly error: unknown;
  readonly onRetry: () => void;
}

export function Failure({ error, onRetry }: FailureProps) {
  const { t } = useTranslation("admin");
  const why = useWhy();
  return (
    <Alert color="red" variant="light" role="alert" icon={<IconAlertCircle aria-hidden />}>
      <Group justify="space-between" gap="sm">
        <Text size="sm">{t("failed", { why: why(error) })}</Text>
        <Button size="xs" variant="default" onClick={onRetry}>
          {t("again")}
        </Button>
      </Group>
    </Alert>
  );
}

interface NothingProps {
  readonly icon: Icon;
  readonly title: string;
  readonly hint?: string | undefined;
  readonly children?: ReactNode;
}

export function Nothing({ icon: Icon, title, hint, children }: NothingProps) {
  return (
    <Center py="lg">
      <EmptyState icon={<Icon size={36} stroke={1.5} aria-hidden />} title={title} description={hint}>
        {children}
      </EmptyState>
    </Center>
  );
}
