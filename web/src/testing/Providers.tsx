/** Everything that components of the chat expect above them, for tests and the demo. */

import { MantineProvider } from "@mantine/core";
import { ModalsProvider } from "@mantine/modals";
import { Notifications } from "@mantine/notifications";
import type { i18n } from "i18next";
import type { ReactNode } from "react";
import { I18nextProvider } from "react-i18next";
import { cssVariablesResolver, theme } from "../app/theme";
import { ChatContext } from "../hooks/useChat";
import type { ChatStore } from "../service/chat/model";

interface Props {
  readonly store: ChatStore;
  readonly texts: i18n;
  /** Without transitions and portals' delays. */
  readonly test?: boolean;
  readonly children: ReactNode;
}

export function Providers({ store, texts, test = false, children }: Props) {
  return (
    <I18nextProvider i18n={texts}>
      <MantineProvider
        theme={theme}
        cssVariablesResolver={cssVariablesResolver}
        defaultColorScheme={test ? "light" : "auto"}
        env={test ? "test" : "default"}
      >
        <ModalsProvider>
          <Notifications />
          <ChatContext value={store}>{children}</ChatContext>
        </ModalsProvider>
      </MantineProvider>
    </I18nextProvider>
  );
}
