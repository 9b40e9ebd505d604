/** The story of one message: its id goes in, and out comes what happened with each recipient. */

import { Alert, Button, Group, Stack, Text, TextInput, Title } from "@mantine/core";
import { IconRoute, IconSearch, IconUsers } from "@tabler/icons-react";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { useStory } from "../../hooks/useStory";
import { codeOf } from "../../hooks/useWhy";
import { countStates, messageIdOf, storiesOf } from "../../service/admin/story";
import classes from "./Admin.module.css";
import { Failure, Fetching, Nothing } from "./LoadState";
import { RecipientCard, StateBadge } from "./RecipientCard";

interface Props {
  /** The message that is shown, as the page's address has it. */
  readonly messageId: string | undefined;
  readonly onLook: (messageId: string) => void;
}

export function MessageStory({ messageId, onLook }: Props) {
  const { t } = useTranslation("admin");
  const [text, setText] = useState(messageId ?? "");
  const [wrong, setWrong] = useState(false);
  const [asked, setAsked] = useState(0);

  const submit = (event: FormEvent): void => {
    event.preventDefault();
    const id = messageIdOf(text);
    setWrong(id === undefined);
    if (id === undefined) return;
    onLook(id);
    setAsked((count) => count + 1);
  };

  return (
    <Stack component="section" gap="md" className={classes.card} aria-labelledby="admin-story">
      <Title order={2} size="h4" id="admin-story">
        {t("story.title")}
      </Title>
      <form onSubmit={submit} noValidate>
        <Group align="flex-start" gap="sm">
          <TextInput
            flex="1 1 260px"
            label={t("story.id")}
            description={t("story.id_hint")}
            value={text}
            onChange={(event) => setText(event.currentTarget.value)}
            error={wrong && t("story.id_wrong")}
            autoCapitalize="none"
            autoComplete="off"
            spellCheck={false}
            inputWrapperOrder={["label", "input", "description", "error"]}
          />
          <Button type="submit" mt={25} leftSection={<IconSearch size={16} aria-hidden />}>
            {t("story.look")}
          </Button>
        </Group>
      </form>
      {messageId === undefined ? (
        <Nothing icon={IconRoute} title={t("story.start")} />
      ) : (
        <Story key={`${messageId} ${asked}`} messageId={messageId} />
      )}
    </Stack>
  );
}

function Story({ messageId }: { readonly messageId: string }) {
  const { t } = useTranslation("admin");
  const { data, error, reload, loadMore } = useStory(messageId);
  if (codeOf(error) === "not_found") return <Nothing icon={IconSearch} title={t("story.not_found")} />;
  if (error !== undefined && data === undefined) return <Failure error={error} onRetry={reload} />;
  if (data === undefined) return <Fetching />;
  const stories = storiesOf(data);
  return (
    <Stack gap="md">
      <Text size="sm" c="dimmed" className={classes.id}>
        {t("story.place", { seq: data.seq, conversation: data.conversation_id })}
      </Text>
      {data.notifier === "unknown" && (
        <Alert color="orange" variant="light" role="status">
          {t("story.notifier_unknown")}
        </Alert>
      )}
      {stories.length === 0 && <Nothing icon={IconUsers} title={t("story.nobody")} />}
      <Group gap="xs" role="status">
        {[...countStates(stories)].map(([state, count]) => (
          <StateBadge key={state} state={state} count={count} />
        ))}
      </Group>
      <ul className={classes.list} aria-label={t("story.recipients")}>
        {stories.map((story) => (
          <li key={story.userId}>
            <RecipientCard story={story} />
          </li>
        ))}
      </ul>
      {data.next_after && (
        <Button variant="default" onClick={() => void loadMore()}>
          {t("more")}
        </Button>
      )}
    </Stack>
  );
}
