/** Everything that components of the chat expect above them, for tests and the demo. */

import type { i18n } from "i18next";
import type { ReactNode } from "react";
import { AppProviders } from "../app/AppProviders";
import { ChatContext } from "../hooks/useChat";
import type { ChatStore } from "../service/chat/model";

interface Props {
  readonly store: ChatStore;
  readonly texts: i18n;
  readonly test?: boolean;
  readonly children: ReactNode;
}

export function Providers({ store, texts, test = false, children }: Props) {
  return (
    <AppProviders texts={texts} env={test ? "test" : "default"}>
      <ChatContext value={store}>{children}</ChatContext>
    </AppProviders>
  );
}
