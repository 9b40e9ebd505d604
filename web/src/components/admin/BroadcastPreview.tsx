/** How a broadcast will look: as a note in the open app, and as a push on a phone. */

import { Badge, Group, Notification, Stack, Text, Title } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { BroadcastForm } from "../../service/admin/broadcast";
import classes from "./Admin.module.css";

export function BroadcastPreview({ form }: { readonly form: BroadcastForm }) {
  const { t } = useTranslation(["admin", "common"]);
  const title = form.title.trim() || t("admin:broadcast.subject");
  const content = form.content.trim() || t("admin:broadcast.content");
  return (
    <Stack component="section" gap="sm" aria-labelledby="admin-preview">
      <Group gap="xs">
        <Title order={3} size="h5" id="admin-preview">
          {t("admin:broadcast.preview")}
        </Title>
        {form.important && (
          <Badge color="red.8" variant="filled" tt="none">
            {t("admin:broadcast.important")}
          </Badge>
        )}
      </Group>
      <Text size="xs" c="dimmed">
        {t("admin:broadcast.preview_app")}
      </Text>
      <Notification
        title={title}
        withCloseButton={false}
        withBorder
        classNames={{ root: classes.text, description: classes.note }}
        role="presentation"
      >
        {content}
      </Notification>
      <Text size="xs" c="dimmed">
        {t("admin:broadcast.preview_push")}
      </Text>
      <div className={classes.lock}>
        <div className={classes.bubble}>
          <Group justify="space-between">
            <Text size="xs">{t("common:app")}</Text>
            <Text size="xs">{t("admin:broadcast.preview_now")}</Text>
          </Group>
          <Text size="sm" fw={650} component="p">
            {title}
          </Text>
          <Text size="sm" component="p" lineClamp={4}>
            {content}
          </Text>
        </div>
      </div>
    </Stack>
  );
}
