/** Why something failed, in the reader's language. */

import { useCallback } from "react";
import { useTranslation } from "react-i18next";

/** The server's words are English; what they mean is the code, docs/errors.md. */
export function useWhy(): (error: unknown) => string {
  const { t } = useTranslation("chat");
  return useCallback(
    (error) => {
      const words = error instanceof Error && error.message !== "" ? error.message : t("nothing_changed");
      return t(`error.${codeOf(error)}`, { defaultValue: words });
    },
    [t],
  );
}

/** One of docs/errors.md, or `unknown`. */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "unknown";
}
