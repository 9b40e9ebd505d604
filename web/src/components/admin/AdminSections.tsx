/** The admin page below its header: sections as tabs, which the page's address remembers. */

import { Tabs, Title } from "@mantine/core";
import { IconActivity, IconMailX, IconPlug, IconRoute, IconSpeakerphone } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { useSearchParams } from "react-router";
import { useAdminStats } from "../../hooks/useAdminStats";
import { messageIdOf } from "../../service/admin/story";
import type { Connection, ConnectionStatus } from "../../service/websocket/types";
import classes from "./Admin.module.css";
import { Broadcast } from "./Broadcast";
import { Connections } from "./Connections";
import { DeadLetters } from "./DeadLetters";
import { MessageStory } from "./MessageStory";
import { Overview } from "./Overview";

const TABS = [
  { name: "overview", icon: IconActivity },
  { name: "connections", icon: IconPlug },
  { name: "broadcast", icon: IconSpeakerphone },
  { name: "story", icon: IconRoute },
  { name: "dead", icon: IconMailX },
] as const;

interface Props {
  readonly connection: Connection | undefined;
  readonly status: ConnectionStatus;
}

export function AdminSections({ connection, status }: Props) {
  const { t } = useTranslation("admin");
  const live = useAdminStats(connection, status);
  const [params, setParams] = useSearchParams();
  const tab = TABS.find(({ name }) => name === params.get("tab"))?.name ?? "overview";
  const edges = (live.window.latest?.edges ?? []).map(({ edge_id }) => edge_id).sort();
  return (
    <div className={classes.page}>
      <Title order={1} size="h3">
        {t("title")}
      </Title>
      <Tabs value={tab} onChange={(name) => setParams({ tab: name ?? "overview" })} keepMounted={false}>
        <Tabs.List aria-label={t("sections")} className={classes.tabs}>
          {TABS.map(({ name, icon: Icon }) => (
            <Tabs.Tab key={name} value={name} className={classes.tab} leftSection={<Icon size={16} aria-hidden />}>
              {t(`tab.${name}`)}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value="overview" className={classes.panel}>
          <Overview live={live} isConnected={status === "connected"} />
        </Tabs.Panel>
        <Tabs.Panel value="connections" className={classes.panel}>
          <Connections edges={edges} />
        </Tabs.Panel>
        {/* What somebody has begun to write is still there after a look at another section. */}
        <Tabs.Panel value="broadcast" className={classes.panel} keepMounted>
          <Broadcast />
        </Tabs.Panel>
        <Tabs.Panel value="story" className={classes.panel}>
          <MessageStory
            messageId={messageIdOf(params.get("message") ?? "")}
            onLook={(message) => setParams({ tab: "story", message })}
          />
        </Tabs.Panel>
        <Tabs.Panel value="dead" className={classes.panel}>
          <DeadLetters />
        </Tabs.Panel>
      </Tabs>
    </div>
  );
}
