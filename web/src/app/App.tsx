/** Everything around the pages: look, texts, what they share, and the router. */

import { MantineProvider } from "@mantine/core";
import { ModalsProvider } from "@mantine/modals";
import { Notifications } from "@mantine/notifications";
import type { i18n } from "i18next";
import { useEffect, useMemo } from "react";
import { I18nextProvider } from "react-i18next";
import { createBrowserRouter, RouterProvider } from "react-router";
import { NatterContext } from "../hooks/useNatter";
import { routes } from "./routes";
import { type Services, ServicesContext } from "./services";
import { cssVariablesResolver, theme } from "./theme";

interface Props {
  readonly services: Services;
  readonly texts: i18n;
}

export function App({ services, texts }: Props) {
  const router = useMemo(() => createBrowserRouter(routes), []);
  const { push } = services;
  // Whatever page is shown when somebody clicks a notification.
  useEffect(() => push.onOpen((id) => void router.navigate(`/chat/${id}`)), [push, router]);
  return (
    <I18nextProvider i18n={texts}>
      <MantineProvider theme={theme} cssVariablesResolver={cssVariablesResolver} defaultColorScheme="auto">
        <ModalsProvider>
          <Notifications position="top-center" />
          <ServicesContext value={services}>
            <NatterContext value={services.natter}>
              <RouterProvider router={router} />
            </NatterContext>
          </ServicesContext>
        </ModalsProvider>
      </MantineProvider>
    </I18nextProvider>
  );
}
