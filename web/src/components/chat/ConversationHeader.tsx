/** Above a conversation: with whom it is, whether they are there, and what can be done with all of it. */

import { ActionIcon, Button, Group, Menu, Text, Title } from "@mantine/core";
import { IconArrowLeft, IconBell, IconBellOff, IconDotsVertical, IconHeartHandshake } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router";
import { useAction } from "../../hooks/useAction";
import { useChat, useChatStore } from "../../hooks/useChat";
import type { ConversationView, PersonView } from "../../service/chat/model";
import classes from "./Chat.module.css";
import { type ConsultStep, useConsultSteps } from "./ConsultActions";
import { ConsultBadge } from "./ConsultBadge";
import { PersonAvatar } from "./PersonAvatar";
import type { ChatTexts } from "./summary";

export function ConversationHeader({ conversation }: { readonly conversation: ConversationView }) {
  const { t } = useTranslation("chat");
  const me = useChat((snapshot) => snapshot.me);
  const { id, title, people, member, consult } = conversation;
  const { steps, dialog } = useConsultSteps({ conversation, me });
  const others = people.filter((person) => person.userId !== me.userId);
  const other = others.length === 1 ? others[0] : undefined;
  return (
    <header className={classes.header}>
      <ActionIcon
        component={Link}
        to="/chat"
        className={classes.back}
        variant="subtle"
        color="gray"
        size="lg"
        radius="xl"
        aria-label={t("back", { ns: "common" })}
      >
        <IconArrowLeft size={20} />
      </ActionIcon>
      <PersonAvatar
        id={other?.userId ?? id}
        name={other?.name ?? title}
        online={other?.online}
        group={others.length > 1}
      />
      <div className={classes.headerText}>
        <Title order={2} size="md" className={classes.headerTitle}>
          {title}
        </Title>
        <Text size="xs" c="dimmed" truncate>
          {subtitle(t, others)}
        </Text>
      </div>
      <Group gap={6} wrap="nowrap">
        {consult && consult.state !== "taken" && <ConsultBadge state={consult.state} />}
        {steps.map(({ text, run }) => (
          <Button key={text} size="compact-sm" variant="default" onClick={run} visibleFrom="sm">
            {t(text)}
          </Button>
        ))}
        {member && <More conversation={conversation} steps={steps} />}
        {dialog}
      </Group>
    </header>
  );
}

/** On a phone there is no room for buttons: the steps of a consult are here, too. */
function More({
  conversation,
  steps,
}: {
  readonly conversation: ConversationView;
  readonly steps: readonly ConsultStep[];
}) {
  const { t } = useTranslation("chat");
  const store = useChatStore();
  const run = useAction();
  const { id, muted } = conversation;
  return (
    <Menu position="bottom-end" shadow="md">
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" size="lg" radius="xl" aria-label={t("more")}>
          <IconDotsVertical size={20} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item
          leftSection={muted ? <IconBell size={16} aria-hidden /> : <IconBellOff size={16} aria-hidden />}
          onClick={() => void run(() => store.mute(id, !muted))}
        >
          {t(muted ? "unmute" : "mute")}
        </Menu.Item>
        {steps.map((step) => (
          <Menu.Item
            key={step.text}
            hiddenFrom="sm"
            leftSection={<IconHeartHandshake size={16} aria-hidden />}
            onClick={step.run}
          >
            {t(step.text)}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

function subtitle(t: ChatTexts, others: readonly PersonView[]): string {
  const [other] = others;
  if (others.length > 1) {
    return others.map((person) => person.name).join(", ");
  }
  if (other?.online === undefined) {
    return "";
  }
  if (!other.online || other.devices.length === 0) {
    return t(other.online ? "online" : "offline");
  }
  return t("online_on", { devices: other.devices.map((device) => t(`device.${device}`)).join(", ") });
}
