/** /login: a form, and no socket; where the caller allows it, demo accounts one click away. */

import {
  Alert,
  Avatar,
  Button,
  Divider,
  Group,
  Paper,
  PasswordInput,
  Stack,
  Text,
  TextInput,
  Title,
  UnstyledButton,
} from "@mantine/core";
import { IconAlertCircle, IconMessageCircle2Filled } from "@tabler/icons-react";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { initials } from "../../components/chat/format";
import { LanguageSwitch } from "../../components/header/LanguageSwitch";
import { SchemeSwitch } from "../../components/header/SchemeSwitch";
import type { Role } from "../../service/chat/model";
import classes from "./Login.module.css";

export interface DemoAccount {
  readonly userId: string;
  readonly password: string;
  readonly name: string;
  readonly role: Role;
}

export interface LoginProps {
  /** Rejects with an error whose `code` is one of docs/errors.md, or anything. */
  readonly onSignIn: (userId: string, password: string) => Promise<void>;
  /** Shown only if there are any: in development, or where the server's /config.json has them. */
  readonly demoAccounts?: readonly DemoAccount[] | undefined;
}

type Problem = "wrong" | "too_often" | "unreachable";

export function LoginPage({ onSignIn, demoAccounts = [] }: LoginProps) {
  const { t } = useTranslation("login");
  const [problem, setProblem] = useState<Problem>();
  /** Who is signing in; only one at a time. */
  const [busy, setBusy] = useState<string>();

  const signIn = async (userId: string, password: string): Promise<void> => {
    setProblem(undefined);
    setBusy(userId);
    try {
      await onSignIn(userId, password);
    } catch (error) {
      setProblem(problemOf(error));
    } finally {
      setBusy(undefined);
    }
  };

  return (
    <div className={classes.page}>
      <Group className={classes.switches} gap={2}>
        <LanguageSwitch />
        <SchemeSwitch />
      </Group>
      <main className={classes.main}>
        <Stack align="center" gap={6} mb="lg">
          <IconMessageCircle2Filled size={44} className={classes.logo} aria-hidden />
          <Title order={1} size="h2">
            {t("title")}
          </Title>
          <Text c="dimmed" ta="center">
            {t("lead")}
          </Text>
        </Stack>
        <Paper className={classes.card} withBorder p="lg" radius="lg">
          {problem && (
            <Alert color="red" variant="light" mb="md" icon={<IconAlertCircle aria-hidden />} role="alert">
              {t(problem)}
            </Alert>
          )}
          <LoginForm busy={busy !== undefined} onSignIn={signIn} />
          {demoAccounts.length > 0 && <Demo accounts={demoAccounts} busy={busy} onSignIn={signIn} />}
        </Paper>
      </main>
    </div>
  );
}

interface FormProps {
  readonly busy: boolean;
  readonly onSignIn: (userId: string, password: string) => Promise<void>;
}

function LoginForm({ busy, onSignIn }: FormProps) {
  const { t } = useTranslation("login");
  const [userId, setUserId] = useState("");
  const [password, setPassword] = useState("");
  const [tried, setTried] = useState(false);
  const missing = (value: string): string | undefined => (tried && value === "" ? t("required") : undefined);

  const submit = (event: FormEvent): void => {
    event.preventDefault();
    setTried(true);
    if (userId.trim() !== "" && password !== "") {
      void onSignIn(userId.trim(), password);
    }
  };

  return (
    <form onSubmit={submit} noValidate>
      <Stack>
        <TextInput
          label={t("user")}
          value={userId}
          onChange={(event) => setUserId(event.currentTarget.value)}
          autoComplete="username"
          autoCapitalize="none"
          spellCheck={false}
          error={missing(userId.trim())}
        />
        <PasswordInput
          label={t("password")}
          value={password}
          onChange={(event) => setPassword(event.currentTarget.value)}
          autoComplete="current-password"
          visibilityToggleButtonProps={{ "aria-label": t("toggle") }}
          error={missing(password)}
        />
        <Button type="submit" loading={busy} fullWidth>
          {t("sign_in")}
        </Button>
      </Stack>
    </form>
  );
}

interface DemoProps {
  readonly accounts: readonly DemoAccount[];
  readonly busy: string | undefined;
  readonly onSignIn: FormProps["onSignIn"];
}

function Demo({ accounts, busy, onSignIn }: DemoProps) {
  const { t } = useTranslation(["login", "common"]);
  return (
    <>
      <Divider my="lg" label={t("login:demo")} />
      <div className={classes.accounts}>
        {accounts.map(({ userId, password, name, role }) => (
          <UnstyledButton
            key={userId}
            className={classes.account}
            disabled={busy !== undefined}
            onClick={() => void onSignIn(userId, password)}
          >
            <Avatar radius="xl" size={34} variant="filled" color="lagoon.7" aria-hidden>
              {initials(name)}
            </Avatar>
            <span>
              <Text component="span" display="block" size="sm" fw={600}>
                {name}
              </Text>
              <Text component="span" display="block" size="xs" c="dimmed">
                {t(`common:role.${role}`)}
              </Text>
            </span>
          </UnstyledButton>
        ))}
      </div>
      <Text size="xs" c="dimmed" mt="sm" ta="center">
        {t("login:demo_note")}
      </Text>
    </>
  );
}

function problemOf(error: unknown): Problem {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "rate_limited") {
    return "too_often";
  }
  return code === "wrong_credentials" || code === "user_blocked" || code === "validation_failed"
    ? "wrong"
    : "unreachable";
}

export default LoginPage;
