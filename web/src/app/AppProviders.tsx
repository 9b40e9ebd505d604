/** What every page stands in: texts, Mantine with its few own words in the reader's language, dialogs and notes. */

import { MantineProvider } from "@mantine/core";
import { ModalsProvider } from "@mantine/modals";
import { Notifications } from "@mantine/notifications";
import type { i18n } from "i18next";
import { type ReactNode, useMemo } from "react";
import { I18nextProvider, useTranslation } from "react-i18next";
import { cssVariablesResolver, theme } from "./theme";

interface Props {
  readonly texts: i18n;
  /** `test`: no transitions, and the light scheme whatever the device says. */
  readonly env?: "default" | "test";
  readonly children: ReactNode;
}

export function AppProviders({ texts, env = "default", children }: Props) {
  return (
    <I18nextProvider i18n={texts}>
      <Look env={env}>{children}</Look>
    </I18nextProvider>
  );
}

function Look({ env, children }: Required<Omit<Props, "texts">>) {
  const { t } = useTranslation("common");
  const spoken = useMemo(() => {
    const closeButtonProps = { "aria-label": t("close") };
    const components = {
      Modal: { defaultProps: { closeButtonProps } },
      Notification: {
        defaultProps: { closeButtonProps },
        // Its own gray is too pale beside a title.
        styles: { description: { color: "var(--mantine-color-dimmed)" } },
      },
    };
    return { ...theme, components };
  }, [t]);
  return (
    <MantineProvider
      theme={spoken}
      cssVariablesResolver={cssVariablesResolver}
      defaultColorScheme={env === "test" ? "light" : "auto"}
      env={env}
    >
      <ModalsProvider>
        <Notifications position="top-center" />
        {children}
      </ModalsProvider>
    </MantineProvider>
  );
}
