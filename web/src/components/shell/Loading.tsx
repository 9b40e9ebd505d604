/** A page is on its way. */

import { Center, Loader } from "@mantine/core";
import { useTranslation } from "react-i18next";

export function Loading() {
  const { t } = useTranslation("app");
  return (
    <Center h="100dvh" role="status" aria-label={t("loading")}>
      <Loader />
    </Center>
  );
}
