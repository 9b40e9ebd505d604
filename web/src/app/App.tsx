/** Everything around the pages: look, texts, what they share, and the router. */

import type { i18n } from "i18next";
import { useEffect, useMemo } from "react";
import { createBrowserRouter, RouterProvider } from "react-router";
import { NatterContext } from "../hooks/useNatter";
import { AppProviders } from "./AppProviders";
import { routes } from "./routes";
import { type Services, ServicesContext } from "./services";

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
    <AppProviders texts={texts}>
      <ServicesContext value={services}>
        <NatterContext value={services.natter}>
          <RouterProvider router={router} />
        </NatterContext>
      </ServicesContext>
    </AppProviders>
  );
}
