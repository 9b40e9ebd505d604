/** Runs what a user asked for, and tells them in their language if it failed. */

import { notifications } from "@mantine/notifications";
import { useCallback } from "react";
import { useTranslation } from "react-i18next";

/** Resolves to whether it worked; never rejects. */
export function useAction(): (work: () => Promise<unknown>) => Promise<boolean> {
  const { t } = useTranslation("chat");
  return useCallback(
    async (work) => {
      try {
        await work();
        return true;
      } catch (error) {
        const why = error instanceof Error && error.message !== "" ? error.message : t("nothing_changed");
        notifications.show({ color: "red", message: t("failed_action", { why }) });
        return false;
      }
    },
    [t],
  );
}
