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
        const words = error instanceof Error && error.message !== "" ? error.message : t("nothing_changed");
        // The server's words are English; what it means is its code (docs/errors.md).
        const why = t(`error.${codeOf(error)}`, { defaultValue: words });
        notifications.show({ color: "red", message: t("failed_action", { why }) });
        return false;
      }
    },
    [t],
  );
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "unknown";
}
