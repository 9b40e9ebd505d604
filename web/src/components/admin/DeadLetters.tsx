/** Pushes that no provider took: why, and a way to try them again or to give them up. */

import { Button, Checkbox, Group, Stack, Text, TextInput, Title } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { notifications } from "@mantine/notifications";
import { IconMailCheck, IconRefresh } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useDeadLetters } from "../../hooks/useDeadLetters";
import type { DeadChoice } from "../../service/admin/model";
import classes from "./Admin.module.css";
import { DeadActions } from "./DeadActions";
import { DeadLetterItem } from "./DeadLetterItem";
import { Failure, Fetching, Nothing } from "./LoadState";

const TYPING_MS = 300;
const NONE: ReadonlySet<number> = new Set();

export function DeadLetters() {
  const { t } = useTranslation("admin");
  const [user, setUser] = useState("");
  const [wanted] = useDebouncedValue(user, TYPING_MS);
  const [chosen, setChosen] = useState(NONE);
  const { data, error, loading, reload, loadMore, settle } = useDeadLetters(wanted || undefined);
  const pushes = data?.pushes ?? [];
  // Only what is shown can be acted on.
  const selected = pushes.filter(({ id }) => chosen.has(id)).map(({ id }) => id);

  const choose = (id: number, on: boolean): void =>
    setChosen((before) => new Set(on ? [...before, id] : [...before].filter((other) => other !== id)));

  const act = async (how: "replay" | "drop", which: DeadChoice): Promise<void> => {
    const count = await settle(how, which);
    if (count === undefined) return;
    setChosen(NONE);
    notifications.show({ color: "teal", message: t(how === "replay" ? "dead.replayed" : "dead.dropped", { count }) });
  };

  return (
    <Stack component="section" gap="md" className={classes.card} aria-labelledby="admin-dead">
      <Group justify="space-between" align="flex-start">
        <div>
          <Title order={2} size="h4" id="admin-dead">
            {t("dead.title")}
          </Title>
          <Text size="sm" c="dimmed">
            {t("dead.hint")}
          </Text>
        </div>
        <Button
          variant="default"
          leftSection={<IconRefresh size={16} aria-hidden />}
          loading={loading && data !== undefined}
          onClick={reload}
        >
          {t("refresh")}
        </Button>
      </Group>
      <TextInput
        maw={280}
        label={t("dead.user")}
        value={user}
        onChange={(event) => setUser(event.currentTarget.value.trim())}
        autoCapitalize="none"
        autoComplete="off"
        spellCheck={false}
        maxLength={64}
      />
      {error !== undefined && <Failure error={error} onRetry={reload} />}
      {data === undefined && loading && <Fetching />}
      {data !== undefined && pushes.length === 0 && (
        <Nothing
          icon={IconMailCheck}
          title={t(wanted === "" ? "dead.none" : "dead.none_filtered")}
          hint={wanted === "" ? t("dead.none_hint") : undefined}
        />
      )}
      {pushes.length > 0 && (
        <>
          <Group justify="space-between" gap="sm">
            <Checkbox
              label={t("dead.select_all")}
              checked={selected.length === pushes.length}
              indeterminate={selected.length > 0 && selected.length < pushes.length}
              onChange={({ currentTarget }) =>
                setChosen(currentTarget.checked ? new Set(pushes.map(({ id }) => id)) : NONE)
              }
            />
            {/* "All" is all of everybody: next to a filtered list it would say something else than it does. */}
            <DeadActions selected={selected} mayAll={wanted === ""} onAct={act} />
          </Group>
          <ul className={classes.list}>
            {pushes.map((push) => (
              <li key={push.id}>
                <DeadLetterItem push={push} checked={chosen.has(push.id)} onCheck={choose} />
              </li>
            ))}
          </ul>
        </>
      )}
      {data?.more && (
        <Button variant="default" onClick={() => void loadMore()}>
          {t("more")}
        </Button>
      )}
    </Stack>
  );
}
