/** The frame of the pages for those who run Natter: name, links, the page's socket, and its content. */

import { ActionIcon, Group, Text, Tooltip } from "@mantine/core";
import { IconLogout, IconMessageCircle2Filled } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { useMe } from "../../hooks/useNatter";
import { LanguageSwitch } from "../header/LanguageSwitch";
import { SchemeSwitch } from "../header/SchemeSwitch";
import { PageLinks } from "./PageLinks";
import classes from "./Shell.module.css";

interface Props {
  /** Where the page shows its socket. */
  readonly status: ReactNode;
  readonly onSignOut: () => void;
  readonly children: ReactNode;
}

export function Shell({ status, onSignOut, children }: Props) {
  const { t } = useTranslation(["app", "common"]);
  const me = useMe();
  return (
    <div className={classes.shell}>
      <header className={classes.header}>
        <Group gap={8} wrap="nowrap">
          <IconMessageCircle2Filled size={26} className={classes.logo} aria-hidden />
          <Text fw={650} visibleFrom="sm">
            {t("common:app")}
          </Text>
        </Group>
        <PageLinks />
        <div className={classes.status}>{status}</div>
        <Group gap={0} wrap="nowrap">
          <LanguageSwitch />
          <SchemeSwitch />
          <Tooltip label={me && t("app:nav.signed_in_as", { name: me.name })} disabled={me === undefined}>
            <ActionIcon
              variant="subtle"
              color="gray"
              size="lg"
              radius="xl"
              aria-label={t("app:nav.sign_out")}
              onClick={onSignOut}
            >
              <IconLogout size={20} />
            </ActionIcon>
          </Tooltip>
        </Group>
      </header>
      <main className={classes.main}>{children}</main>
    </div>
  );
}
