/** What went wrong in a page, in that page's place: the others know nothing of it. */

import { Button, Center, Code, Group, Stack, Text, Title } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link, useRouteError } from "react-router";

export function PageError() {
  const { t } = useTranslation("app");
  const error = useRouteError();
  return (
    <Center component="main" h="100dvh" p="md">
      <Stack align="center" gap="sm" maw={520} role="alert">
        <Title order={1} size="h3">
          {t("broken")}
        </Title>
        <Text c="dimmed" ta="center">
          {t("broken_hint")}
        </Text>
        <Code block maw="100%">
          {error instanceof Error ? error.message : String(error)}
        </Code>
        <Group>
          <Button onClick={() => location.reload()}>{t("reload")}</Button>
          <Button component={Link} to="/" variant="default">
            {t("home")}
          </Button>
        </Group>
      </Stack>
    </Center>
  );
}
