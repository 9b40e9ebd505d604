/** What happened to a message with one recipient, as a timeline. */

import { Badge, Group, Paper, Text, Timeline, Title } from "@mantine/core";
import {
  IconBellOff,
  IconBellPlus,
  IconBellRinging,
  IconCheck,
  IconChecks,
  IconClock,
  IconDeviceMobileCheck,
  IconEyeCheck,
  IconMoon,
  IconX,
} from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import type { DeliveryState } from "../../service/admin/model";
import type { RecipientStory, StoryKind, StoryStep } from "../../service/admin/story";
import classes from "./Admin.module.css";
import { moment } from "./format";

const COLORS: Readonly<Record<DeliveryState, string>> = {
  read: "lagoon.7",
  delivered: "teal.9",
  handed_over: "blue.8",
  waiting: "grape.8",
  unknown: "gray.7",
};

const ICONS: Readonly<Record<StoryKind, typeof IconCheck>> = {
  received: IconChecks,
  handed_over: IconBellPlus,
  push_pending: IconClock,
  push_held: IconMoon,
  push_skipped: IconBellOff,
  push_sent: IconBellRinging,
  push_dead: IconX,
  tried: IconClock,
  accepted: IconCheck,
  shown: IconDeviceMobileCheck,
  retracted: IconBellOff,
  failed: IconX,
  device_skipped: IconBellOff,
  read: IconEyeCheck,
};

const BAD: ReadonlySet<StoryKind> = new Set(["push_dead", "failed"]);

/** With a `count`: of how many recipients. */
export function StateBadge({ state, count }: { readonly state: DeliveryState; readonly count?: number }) {
  const { t } = useTranslation("admin");
  return (
    <Badge color={COLORS[state]} variant="filled" tt="none">
      {t(`story.state.${state}`)}
      {count !== undefined && ` · ${count}`}
    </Badge>
  );
}

export function RecipientCard({ story }: { readonly story: RecipientStory }) {
  const { t } = useTranslation("admin");
  return (
    <Paper withBorder p="md">
      <Group justify="space-between" mb="md" gap="xs">
        <Title order={3} size="h5" className={classes.id}>
          {story.userId}
        </Title>
        <StateBadge state={story.state} />
      </Group>
      {story.steps.length === 0 ? (
        <Text size="sm" c="dimmed">
          {t("story.empty")}
        </Text>
      ) : (
        <Timeline bulletSize={26} lineWidth={2} active={story.steps.length} color="lagoon.7">
          {story.steps.map((step) => (
            <Step key={step.key} step={step} />
          ))}
        </Timeline>
      )}
    </Paper>
  );
}

/** Called as a component by `Timeline`, which gives its children their place: so what it gives is passed on. */
function Step({ step, ...place }: { readonly step: StoryStep }) {
  const { t, i18n } = useTranslation("admin");
  const Icon = ICONS[step.kind];
  return (
    <Timeline.Item
      {...place}
      bullet={<Icon size={15} aria-hidden />}
      color={BAD.has(step.kind) ? "red.8" : "lagoon.7"}
      title={t(`story.step.${step.kind}`)}
    >
      <Details step={step} />
      <Text size="xs" c="dimmed" mt={2}>
        {step.at === undefined ? (
          t("story.no_time")
        ) : (
          <time dateTime={new Date(step.at).toISOString()}>{moment(step.at, i18n.language)}</time>
        )}
      </Text>
    </Timeline.Item>
  );
}

function Details({ step }: { readonly step: StoryStep }) {
  const { t, i18n } = useTranslation("admin");
  const parts = [
    step.deviceType && t(`device.${step.deviceType}`),
    step.edgeId && t("story.on_edge", { edge: step.edgeId }),
    step.provider && t("story.by", { provider: step.provider }),
    step.reason && t(`reason.${step.reason}`, { defaultValue: step.reason }),
    step.attempts !== undefined && step.attempts > 0 && t("story.attempts", { count: step.attempts }),
    step.dueAt !== undefined && t("story.due", { time: moment(step.dueAt, i18n.language) }),
  ].filter((part) => typeof part === "string" && part !== "");
  return (
    <>
      {parts.length > 0 && <Text size="sm">{parts.join(" · ")}</Text>}
      {step.error !== undefined && (
        <Text size="sm" c="var(--mantine-color-error)" className={classes.text}>
          {step.error}
        </Text>
      )}
    </>
  );
}
