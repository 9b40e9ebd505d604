/** Sends a frame that a developer writes, and shows what the server says to it. */

import { Alert, Button, Group, Select, Text, Textarea } from "@mantine/core";
import { IconSend } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { RequestError } from "../../service/websocket/core/errors";
import { type Connection, type ConnectionState, DEFAULT_SETTINGS } from "../../service/websocket/types";
import { CLIENT_ACTIONS, type ClientAction, checkFrame, template } from "./clientFrames";
import { JsonTree } from "./JsonTree";
import { Panel } from "./Panel";
import classes from "./socket.module.css";

/** Of contracts' `ServerLimits`: what holds until a server has said another. */
const FRAME_BYTES_MAX = 65_536;

interface Props {
  readonly connection: Connection | undefined;
  readonly state: ConnectionState;
}

interface Outcome {
  readonly ms: number;
  readonly answer: Readonly<Record<string, unknown>> | RequestError;
}

export function SendFrame({ connection, state }: Props) {
  const { t } = useTranslation("socket");
  const [text, setText] = useState(() => template("ping", Date.now()));
  const [outcome, setOutcome] = useState<Outcome>();
  const [busy, setBusy] = useState(false);
  const checked = checkFrame(text, state.welcome?.frameBytesMax ?? FRAME_BYTES_MAX);
  const wrong = "problem" in checked ? checked : undefined;
  const connected = state.status === "connected";

  const send = async (): Promise<void> => {
    if (connection === undefined || !connected || busy || "problem" in checked) return;
    setBusy(true);
    setOutcome(await answerTo(connection, checked.action, checked.data));
    setBusy(false);
  };

  return (
    <Panel title={t("send.title")}>
      <Select
        label={t("send.template")}
        placeholder={t("send.choose")}
        value={null}
        data={[...CLIENT_ACTIONS]}
        onChange={(action) => action !== null && setText(template(action as ClientAction, Date.now()))}
        w={260}
        maw="100%"
        mb="sm"
      />
      <Textarea
        label={t("send.frame")}
        description={t("send.hint")}
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) void send();
        }}
        error={wrong && t(`send.problem.${wrong.problem}`, { detail: wrong.detail })}
        autosize
        minRows={5}
        maxRows={16}
        spellCheck={false}
        autoCapitalize="none"
        classNames={{ input: classes.editor }}
      />
      <Group mt="sm" gap="sm">
        <Button
          leftSection={<IconSend size={16} aria-hidden />}
          disabled={!connected || wrong !== undefined}
          loading={busy}
          onClick={() => void send()}
        >
          {t("send.send")}
        </Button>
        {!connected && (
          <Text size="sm" c="dimmed">
            {t("send.not_connected")}
          </Text>
        )}
      </Group>
      <div role="status">{outcome && <Answer {...outcome} />}</div>
    </Panel>
  );
}

function Answer({ ms, answer }: Outcome) {
  const { t } = useTranslation("socket");
  const failed = answer instanceof RequestError;
  return (
    <Alert
      mt="sm"
      variant="light"
      color={failed ? "red" : "lagoon"}
      classNames={{ title: classes.alertTitle }}
      title={failed ? t("send.refused", { code: answer.code, ms }) : t("send.answered", { ms })}
    >
      {failed ? answer.message : <JsonTree value={answer} />}
    </Alert>
  );
}

async function answerTo(
  connection: Connection,
  action: string,
  data: Readonly<Record<string, unknown>>,
): Promise<Outcome> {
  const since = performance.now();
  const took = () => Math.round(performance.now() - since);
  try {
    const answer = await connection.ask(action, data, { timeoutMs: DEFAULT_SETTINGS.connectionTimeout });
    return { ms: took(), answer };
  } catch (error) {
    return { ms: took(), answer: error instanceof RequestError ? error : new RequestError("internal", String(error)) };
  }
}
