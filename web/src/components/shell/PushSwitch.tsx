/** Turns Web Push on and off; the browser is asked for permission only on the click. */

import { ActionIcon, Tooltip } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { IconBellOff, IconBellRinging } from "@tabler/icons-react";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { useServices } from "../../app/services";
import { PushDenied } from "../../service/push";

/** Nothing where the browser or the server has no Web Push. */
export function PushSwitch() {
  const { t, i18n } = useTranslation("app");
  const { push } = useServices();
  const [on, setOn] = useState<boolean>();
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    let here = true;
    void push.resume(i18n.language).then((subscribed) => here && setOn(subscribed));
    return () => {
      here = false;
    };
  }, [push, i18n.language]);
  if (!push.available || on === undefined) return null;

  const toggle = async (): Promise<void> => {
    setBusy(true);
    try {
      if (on) await push.end();
      else await push.begin(i18n.language);
      setOn(!on);
      notifications.show({ message: t(on ? "push.disabled" : "push.enabled") });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const message = error instanceof PushDenied ? t("push.denied") : t("push.failed", { why });
      notifications.show({ color: "red", message });
    } finally {
      setBusy(false);
    }
  };

  const label = t(on ? "push.off" : "push.on");
  return (
    <Tooltip label={label}>
      <ActionIcon
        variant="subtle"
        color="gray"
        size="lg"
        radius="xl"
        aria-label={label}
        loading={busy}
        onClick={() => void toggle()}
      >
        {on ? <IconBellRinging size={20} /> : <IconBellOff size={20} />}
      </ActionIcon>
    </Tooltip>
  );
}
