/** The chat: the list and a conversation side by side, on a phone one after the other. */

import { ActionIcon, Group, Menu, Title } from "@mantine/core";
import { IconLogout, IconMessages, IconUserCircle } from "@tabler/icons-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { useChat } from "../../hooks/useChat";
import { useDrafts } from "../../hooks/useComposer";
import { LanguageSwitch } from "../header/LanguageSwitch";
import { SchemeSwitch } from "../header/SchemeSwitch";
import classes from "./Chat.module.css";
import { ConnectionBanner } from "./ConnectionBanner";
import { ConversationList } from "./ConversationList";
import { ConversationPane } from "./ConversationPane";
import { Empty } from "./Empty";
import { LiveRegion, useUnreadTitle } from "./LiveRegion";
import { NewConversation } from "./NewConversation";
import { NotificationBell } from "./NotificationBell";

export interface ChatProps {
  /** The conversation that the address names. */
  readonly conversationId?: string | undefined;
  /** Where the page shows its socket: `<WebSocketStatus />`. */
  readonly status?: ReactNode;
  /** More for the header, such as links to other pages. */
  readonly links?: ReactNode;
  readonly onSignOut?: () => void;
}

/** Needs a `<ChatContext>` above it. */
export function Chat({ conversationId, status, links, onSignOut }: ChatProps) {
  const { t } = useTranslation("chat");
  const drafts = useDrafts();
  useUnreadTitle();
  return (
    <div className={classes.chat} data-open={conversationId !== undefined || undefined}>
      <LiveRegion />
      <nav className={classes.side} aria-label={t("conversations")}>
        <header className={classes.header}>
          <Title order={1} size="h4" className={classes.headerText}>
            {t("app", { ns: "common" })}
          </Title>
          <Group gap={0} wrap="nowrap">
            {links}
            <NotificationBell />
            <NewConversation />
            <LanguageSwitch />
            <SchemeSwitch />
            <Account onSignOut={onSignOut} />
          </Group>
        </header>
        {status && <div className={classes.status}>{status}</div>}
        <ConversationList openId={conversationId} />
      </nav>
      <main className={classes.main}>
        <ConnectionBanner />
        {conversationId === undefined ? (
          <Empty icon={IconMessages} title={t("nothing_open")} hint={t("nothing_open_hint")} />
        ) : (
          <ConversationPane id={conversationId} drafts={drafts} />
        )}
      </main>
    </div>
  );
}

function Account({ onSignOut }: { readonly onSignOut: (() => void) | undefined }) {
  const { t } = useTranslation(["chat", "common"]);
  const me = useChat((snapshot) => snapshot.me);
  const roles = me.roles.map((role) => t(`common:role.${role}`)).join(", ");
  return (
    <Menu position="bottom-end" shadow="md">
      <Menu.Target>
        <ActionIcon
          variant="subtle"
          color="gray"
          size="lg"
          radius="xl"
          aria-label={t("chat:signed_in_as", { name: me.name })}
        >
          <IconUserCircle size={21} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>
          {me.name} · {roles}
        </Menu.Label>
        {onSignOut && (
          <Menu.Item leftSection={<IconLogout size={16} aria-hidden />} onClick={onSignOut}>
            {t("chat:sign_out")}
          </Menu.Item>
        )}
      </Menu.Dropdown>
    </Menu>
  );
}
