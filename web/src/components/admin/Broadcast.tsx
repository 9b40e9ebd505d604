/** Says something to everybody or to some roles: written, seen as it will look, confirmed, and followed. */

import { Stack, Text, Title } from "@mantine/core";
import { useCallback, useState } from "react";
import { useTranslation } from "react-i18next";
import { useAdmin } from "../../hooks/useAdmin";
import { useLoaded } from "../../hooks/useLoaded";
import { EMPTY_BROADCAST, type BroadcastForm as Form } from "../../service/admin/broadcast";
import classes from "./Admin.module.css";
import { BroadcastConfirm } from "./BroadcastConfirm";
import { BroadcastForm } from "./BroadcastForm";
import { BroadcastHistory } from "./BroadcastHistory";
import { BroadcastPreview } from "./BroadcastPreview";

export function Broadcast() {
  const { t } = useTranslation("admin");
  const admin = useAdmin();
  const [form, setForm] = useState(EMPTY_BROADCAST);
  // The name under which it is sent once, however often: until it is accepted or says something else.
  const [key, setKey] = useState(() => crypto.randomUUID());
  const [confirming, setConfirming] = useState(false);
  const history = useLoaded(useCallback(() => admin.broadcasts(), [admin]));

  const change = (changed: Form): void => {
    setForm(changed);
    setKey(crypto.randomUUID());
  };
  const sent = (): void => {
    change(EMPTY_BROADCAST);
    setConfirming(false);
    history.reload();
  };

  return (
    <Stack gap="md">
      <section className={classes.card} aria-labelledby="admin-broadcast">
        <Title order={2} size="h4" id="admin-broadcast">
          {t("broadcast.title")}
        </Title>
        <Text size="sm" c="dimmed" mb="md">
          {t("broadcast.hint")}
        </Text>
        <div className={classes.split}>
          <BroadcastForm form={form} onChange={change} onReview={() => setConfirming(true)} />
          <BroadcastPreview form={form} />
        </div>
      </section>
      <BroadcastHistory history={history} />
      {confirming && <BroadcastConfirm form={form} sendKey={key} onClose={() => setConfirming(false)} onSent={sent} />}
    </Stack>
  );
}
