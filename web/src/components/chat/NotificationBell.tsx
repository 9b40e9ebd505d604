/** What the host application or an admin told this user: a note when it comes, and a list to read it again. */

import { ActionIcon, Indicator, Popover, Stack, Text } from "@mantine/core";
import { notifications as toasts } from "@mantine/notifications";
import { IconBell } from "@tabler/icons-react";
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { useChat } from "../../hooks/useChat";
import { useNow } from "../../hooks/useNow";
import classes from "./Chat.module.css";
import { shortTime } from "./format";

const SHOWN = 20;

export function NotificationBell() {
  const { t, i18n } = useTranslation("chat");
  const all = useChat((snapshot) => snapshot.notifications);
  const now = useNow();
  const [seen, setSeen] = useState<string>();
  useToasts(all);
  const news = all.length > 0 && all[0]?.id !== seen;
  return (
    <Popover position="bottom-end" shadow="md" width={320} onOpen={() => setSeen(all[0]?.id)} trapFocus>
      <Indicator disabled={!news} color="red.8" offset={7} zIndex={1}>
        <Popover.Target>
          <ActionIcon variant="subtle" color="gray" size="lg" radius="xl" aria-label={t("notifications")}>
            <IconBell size={20} />
          </ActionIcon>
        </Popover.Target>
      </Indicator>
      <Popover.Dropdown>
        <Stack gap="sm" className={classes.notifications}>
          {all.length === 0 && (
            <Text size="sm" c="dimmed">
              {t("notifications_none")}
            </Text>
          )}
          {all.slice(0, SHOWN).map(({ id, title, content, at }) => (
            <div key={id}>
              <Text size="sm" fw={600}>
                {title}
              </Text>
              <Text size="sm">{content}</Text>
              <Text size="xs" c="dimmed">
                {shortTime(at, now, i18n.language)}
              </Text>
            </div>
          ))}
        </Stack>
      </Popover.Dropdown>
    </Popover>
  );
}

function useToasts(all: readonly { readonly id: string; readonly title: string; readonly content: string }[]): void {
  const ready = useChat((snapshot) => snapshot.ready);
  const known = useRef<ReadonlySet<string> | undefined>(undefined);
  useEffect(() => {
    const before = known.current;
    known.current = ready ? new Set(all.map(({ id }) => id)) : undefined;
    for (const { id, title, content } of before ? all : []) {
      if (!before?.has(id)) {
        toasts.show({ id, title, message: content });
      }
    }
  }, [all, ready]);
}
