/** Where a consult stands. */

import { Badge } from "@mantine/core";
import { useTranslation } from "react-i18next";
import type { ConsultState } from "../../service/chat/model";

/** Shades with 4.5 : 1 below white. */
const COLORS: Readonly<Record<ConsultState, string>> = { waiting: "grape.8", taken: "lagoon.7", closed: "gray.7" };

export function ConsultBadge({ state }: { readonly state: ConsultState }) {
  const { t } = useTranslation("chat");
  return (
    <Badge size="sm" variant="filled" tt="none" color={COLORS[state]}>
      {t(`consult.${state}`)}
    </Badge>
  );
}
