/** /test-websocket: everything about one socket, and what can go wrong with it at the press of a button. */

import { SimpleGrid, Stack, Text, Title } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { SocketBench } from "../../hooks/useSocketBench";
import type { Me } from "../../service/chat/model";
import { Controls } from "./Controls";
import { FrameLog } from "./FrameLog";
import { Latency } from "./Latency";
import { SendFrame } from "./SendFrame";
import { StateHistory } from "./StateHistory";
import { StatePanel } from "./StatePanel";

interface Props {
  readonly bench: SocketBench;
  readonly me: Me | undefined;
}

export function Bench({ bench, me }: Props) {
  const { t } = useTranslation("socket");
  const { connection, state, config, cable, recorder, recording } = bench;
  return (
    <Stack gap="md">
      <div>
        <Title order={1} size="h3">
          {t("title")}
        </Title>
        <Text c="dimmed" size="sm">
          {t("lead")}
        </Text>
      </div>
      <Controls connection={connection} status={state.status} cable={cable} />
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
        <StatePanel state={state} recording={recording} connectionType={config.connectionType} me={me} />
        <Stack gap="md">
          <Latency
            connection={connection}
            connected={state.status === "connected"}
            samples={recording.samples}
            onClear={() => recorder.clearSamples()}
          />
          <StateHistory states={recording.states} />
        </Stack>
      </SimpleGrid>
      <FrameLog frames={recording.frames} total={recording.frameCount} onClear={() => recorder.clearFrames()} />
      <SendFrame connection={connection} state={state} />
    </Stack>
  );
}
