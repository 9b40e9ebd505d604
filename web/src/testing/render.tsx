/** Renders components of the chat in jsdom, with a `DemoStore` and real texts. */

import { notifications } from "@mantine/notifications";
import { cleanup, configure, render } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import type { ReactNode } from "react";
import { MemoryRouter } from "react-router";
import { afterEach } from "vitest";
import { createTexts, type Language } from "../app/i18n";
import { DemoStore } from "./demoStore";
import { Providers } from "./Providers";

/** What Mantine and virtua ask of a browser and jsdom has not: nothing is ever measured here. */
class NoResizeObserver implements ResizeObserver {
  observe(): void {}
  unobserve(): void {}
  disconnect(): void {}
}

globalThis.ResizeObserver ??= NoResizeObserver;
window.matchMedia ??= (media) =>
  Object.assign(new EventTarget(), {
    matches: false,
    media,
    onchange: null,
    addListener: () => undefined,
    removeListener: () => undefined,
  }) as MediaQueryList;
if (!("fonts" in document)) {
  Object.defineProperty(document, "fonts", { value: new EventTarget() });
}
Element.prototype.scrollIntoView ??= () => undefined;
Element.prototype.scrollTo ??= () => undefined;

// What is found within a second on an idle machine may take longer on a busy one.
configure({ asyncUtilTimeout: 10_000 });

afterEach(() => {
  notifications.clean(); // they outlive what showed them
  cleanup();
});

interface Options {
  readonly store?: DemoStore;
  readonly language?: Language;
  readonly at?: string;
}

export function renderChat(ui: ReactNode, { store = new DemoStore(), language = "en", at = "/chat" }: Options = {}) {
  const user = userEvent.setup();
  const shown = (
    <MemoryRouter initialEntries={[at]}>
      <Providers store={store} texts={createTexts(language)} test>
        {ui}
      </Providers>
    </MemoryRouter>
  );
  return { user, store, ...render(shown) };
}
