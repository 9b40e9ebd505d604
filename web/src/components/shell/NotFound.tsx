/** Said instead of a page: there is none, or it is not for this user. */

import { Anchor, Center, Stack, Text, Title } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";

export function NotFound() {
  return <Instead kind="not_found" />;
}

export function Forbidden() {
  return <Instead kind="forbidden" />;
}

function Instead({ kind }: { readonly kind: "not_found" | "forbidden" }) {
  const { t } = useTranslation("app");
  return (
    <Center component="main" h="100dvh" p="md">
      <Stack align="center" gap="xs">
        <Title order={1} size="h3">
          {t(kind)}
        </Title>
        <Text c="dimmed">{t(`${kind}_hint`)}</Text>
        <Anchor component={Link} to={kind === "not_found" ? "/" : "/chat"} underline="always">
          {t("home")}
        </Anchor>
      </Stack>
    </Center>
  );
}
