/** Connects and disconnects, and breaks the socket in each way in which it breaks by itself. */

import { Button, Group, Switch, Text } from "@mantine/core";
import {
  IconCloudOff,
  IconHeartbeat,
  IconPlugConnected,
  IconPlugConnectedX,
  IconScissors,
  IconWaveSine,
} from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import type { FaultyWorld } from "../../service/websocket/faults";
import type { Connection, ConnectionStatus } from "../../service/websocket/types";
import { FLOOD_FRAMES, flood, type Tally } from "./flood";
import { Panel } from "./Panel";

interface Props {
  readonly connection: Connection | undefined;
  readonly status: ConnectionStatus;
  readonly cable: FaultyWorld;
}

export function Controls({ connection, status, cable }: Props) {
  const { t } = useTranslation("socket");
  const connected = status === "connected";
  const wanted = status !== "idle" && status !== "failed";
  return (
    <Panel title={t("controls.title")}>
      <Group gap="xs">
        <Button
          leftSection={<IconPlugConnected size={16} aria-hidden />}
          disabled={connection === undefined || wanted}
          onClick={() => connection?.connect()}
        >
          {t("controls.connect")}
        </Button>
        <Button
          variant="default"
          leftSection={<IconPlugConnectedX size={16} aria-hidden />}
          disabled={!wanted}
          onClick={() => connection?.disconnect()}
        >
          {t("controls.disconnect")}
        </Button>
        <Button
          variant="default"
          leftSection={<IconScissors size={16} aria-hidden />}
          disabled={!connected}
          onClick={() => cable.drop()}
        >
          {t("controls.drop")}
        </Button>
        <Button
          variant="default"
          leftSection={<IconHeartbeat size={16} aria-hidden />}
          disabled={!connected}
          onClick={() => connection?.check()}
        >
          {t("controls.check")}
        </Button>
        <Flood connection={connection} connected={connected} />
        <Cable cable={cable} />
      </Group>
    </Panel>
  );
}

/** The cable's own state: it stays as it is while sockets come and go. */
function Cable({ cable }: Pick<Props, "cable">) {
  const { t } = useTranslation("socket");
  const [online, setOnline] = useState(cable.online);
  const [silent, setSilent] = useState(cable.silent);
  return (
    <Group gap="md" ml={{ sm: "xs" }}>
      <Switch
        label={t("controls.offline")}
        checked={!online}
        thumbIcon={online ? undefined : <IconCloudOff size={12} color="black" aria-hidden />}
        onChange={(event) => {
          cable.setOnline(!event.currentTarget.checked);
          setOnline(cable.online);
        }}
      />
      <Switch
        label={t("controls.silent")}
        checked={silent}
        onChange={(event) => {
          cable.setSilent(event.currentTarget.checked);
          setSilent(cable.silent);
        }}
      />
    </Group>
  );
}

function Flood({
  connection,
  connected,
}: {
  readonly connection: Connection | undefined;
  readonly connected: boolean;
}) {
  const { t } = useTranslation("socket");
  const [tally, setTally] = useState<Tally>();
  const [busy, setBusy] = useState(false);

  const run = async (): Promise<void> => {
    if (connection === undefined) return;
    setBusy(true);
    setTally({});
    await flood(connection, setTally);
    setBusy(false);
  };

  const answers = Object.entries(tally ?? {}).sort(([, a], [, b]) => b - a);
  return (
    <>
      <Button
        variant="default"
        leftSection={<IconWaveSine size={16} aria-hidden />}
        disabled={!connected || busy}
        onClick={() => void run()}
      >
        {t("controls.flood", { count: FLOOD_FRAMES })}
      </Button>
      <Text size="sm" role="status" ff="monospace">
        {busy && answers.length === 0 && t("controls.flooding")}
        {answers.map(([answer, times]) => `${answer} × ${times}`).join(" · ")}
      </Text>
    </>
  );
}
