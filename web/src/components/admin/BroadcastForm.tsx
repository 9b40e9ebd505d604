/** What is to be said, how important it is, and to whom. */

import { Autocomplete, Button, Checkbox, Group, Radio, Stack, Switch, Textarea, TextInput } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { flushSync } from "react-dom";
import { useTranslation } from "react-i18next";
import {
  BROADCAST_TYPES,
  type BroadcastProblems,
  CONTENT_MAX,
  type BroadcastForm as Form,
  problemsOf,
  TITLE_MAX,
} from "../../service/admin/broadcast";
import { HUMAN_ROLES } from "../../service/admin/model";

interface Props {
  readonly form: Form;
  readonly onChange: (form: Form) => void;
  /** Only with a form that has no problems. */
  readonly onReview: () => void;
}

const FINE: BroadcastProblems = {};

export function BroadcastForm({ form, onChange, onReview }: Props) {
  const { t } = useTranslation("admin");
  const [tried, setTried] = useState(false);
  const problems = tried ? problemsOf(form) : FINE;
  const words = (problem: string | undefined) => problem && t(`broadcast.${problem}`);

  const submit = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const fine = Object.keys(problemsOf(form)).length === 0;
    // At once, because the first field that is wrong may be far above the button, and is to be gone to.
    flushSync(() => setTried(!fine));
    if (fine) onReview();
    else event.currentTarget.querySelector<HTMLElement>("[aria-invalid=true]")?.focus();
  };

  return (
    <form onSubmit={submit} noValidate>
      <Stack>
        <TextInput
          label={t("broadcast.subject")}
          value={form.title}
          maxLength={TITLE_MAX}
          error={words(problems.title)}
          onChange={(event) => onChange({ ...form, title: event.currentTarget.value })}
        />
        <Textarea
          label={t("broadcast.content")}
          value={form.content}
          maxLength={CONTENT_MAX}
          autosize
          minRows={3}
          maxRows={10}
          error={words(problems.content)}
          onChange={(event) => onChange({ ...form, content: event.currentTarget.value })}
        />
        <Autocomplete
          label={t("broadcast.type")}
          description={t("broadcast.type_hint")}
          value={form.type}
          maxLength={64}
          error={words(problems.type)}
          data={[...BROADCAST_TYPES]}
          renderOption={({ option }) => t(`broadcast.kind.${option.value}`, { defaultValue: option.value })}
          onChange={(type) => onChange({ ...form, type })}
        />
        <Switch
          label={t("broadcast.important")}
          description={t("broadcast.important_hint")}
          checked={form.important}
          onChange={(event) => onChange({ ...form, important: event.currentTarget.checked })}
        />
        <Audience form={form} onChange={onChange} error={words(problems.roles)} />
        <Group>
          <Button type="submit">{t("broadcast.review")}</Button>
        </Group>
      </Stack>
    </form>
  );
}

interface AudienceProps extends Pick<Props, "form" | "onChange"> {
  readonly error: string | undefined;
}

function Audience({ form, onChange, error }: AudienceProps) {
  const { t } = useTranslation("admin");
  return (
    <>
      <Radio.Group
        label={t("broadcast.to")}
        value={form.audience}
        onChange={(value) => onChange({ ...form, audience: value === "some" ? "some" : "everybody" })}
      >
        <Group mt="xs">
          <Radio value="everybody" label={t("broadcast.everybody")} />
          <Radio value="some" label={t("broadcast.some")} />
        </Group>
      </Radio.Group>
      {form.audience === "some" && (
        <Checkbox.Group
          label={t("broadcast.roles")}
          value={[...form.roles]}
          error={error}
          onChange={(chosen) => onChange({ ...form, roles: HUMAN_ROLES.filter((role) => chosen.includes(role)) })}
        >
          <Group mt="xs" mb={4}>
            {HUMAN_ROLES.map((role) => (
              <Checkbox key={role} value={role} label={t(`role.${role}`)} />
            ))}
          </Group>
        </Checkbox.Group>
      )}
    </>
  );
}
