/** Links to the pages that this user may see. */

import { ActionIcon, Anchor, Menu } from "@mantine/core";
import { IconLayoutGrid } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Link, useLocation } from "react-router";
import { useMe } from "../../hooks/useNatter";
import type { Role } from "../../service/chat/model";
import classes from "./Shell.module.css";

const PAGES: readonly { readonly path: string; readonly text: string; readonly only?: Role }[] = [
  { path: "/chat", text: "nav.chat" },
  { path: "/admin", text: "nav.admin", only: "admin" },
  { path: "/test-websocket", text: "nav.test" },
];

/** `compact`: behind one button. */
export function PageLinks({ compact = false }: { readonly compact?: boolean }) {
  const { t } = useTranslation("app");
  const { pathname } = useLocation();
  const me = useMe();
  const pages = PAGES.filter(({ only }) => only === undefined || me?.roles.includes(only));
  const current = (path: string) => (pathname.startsWith(path) ? ("page" as const) : undefined);
  if (compact) {
    return (
      <Menu position="bottom-end" shadow="md">
        <Menu.Target>
          <ActionIcon variant="subtle" color="gray" size="lg" radius="xl" aria-label={t("nav.label")}>
            <IconLayoutGrid size={20} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          {pages.map(({ path, text }) => (
            <Menu.Item key={path} component={Link} to={path} aria-current={current(path)}>
              {t(text)}
            </Menu.Item>
          ))}
        </Menu.Dropdown>
      </Menu>
    );
  }
  return (
    <nav aria-label={t("nav.label")} className={classes.links}>
      {pages.map(({ path, text }) => (
        <Anchor key={path} component={Link} to={path} className={classes.link} aria-current={current(path)}>
          {t(text)}
        </Anchor>
      ))}
    </nav>
  );
}
