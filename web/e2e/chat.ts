/** What somebody does on /chat, and what they see there. */

import { expect, type Locator, type Page } from "@playwright/test";

export class ChatScreen {
  readonly page: Page;
  readonly messages: Locator;
  readonly input: Locator;

  constructor(page: Page) {
    this.page = page;
    this.messages = page.getByRole("feed", { name: "Messages" });
    this.input = page.getByRole("textbox", { name: "Write a message" });
  }

  /** Opens a conversation by its address and waits for the socket. */
  async open(conversationId: string): Promise<void> {
    await this.page.goto(`/chat/${conversationId}`);
    await this.connected();
  }

  /** Waits until the page's socket is up. */
  async connected(): Promise<void> {
    await expect(this.page.getByText("Connected", { exact: true })).toBeVisible({ timeout: 30_000 });
  }

  async write(text: string): Promise<void> {
    await this.input.fill(text);
    await this.input.press("Enter");
  }

  /** One message by its text. */
  message(text: string): Locator {
    return this.messages.getByRole("article").filter({ hasText: text });
  }

  /** How far an own message has come: `Sent`, `Delivered`, `Read`. */
  progress(text: string, state: string): Locator {
    return this.message(text).getByLabel(state, { exact: true });
  }

  /** Does one of the things that can be done with a message. */
  async act(text: string, action: string): Promise<void> {
    await this.message(text).hover();
    await this.message(text).getByRole("button", { name: "Message actions" }).click();
    await this.page.getByRole("menuitem", { name: action }).click();
  }

  /** The texts on the screen, in their order, that `pattern` finds. */
  async shown(pattern: RegExp): Promise<string[]> {
    const texts = await this.messages.getByRole("article").allInnerTexts();
    return texts.flatMap((text) => text.match(pattern)?.[0] ?? []);
  }
}
