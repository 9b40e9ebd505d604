/** What each test of the browser begins with: the stack, and people who are signed in. */

import { type BrowserContext, test as base, expect, type Page } from "@playwright/test";
import { Natter } from "./natter";

export { expect } from "@playwright/test";

export interface Person {
  readonly userId: string;
  readonly context: BrowserContext;
  readonly page: Page;
}

interface Fixtures {
  /** A user of his own with that name and role, on `/chat` (or elsewhere) in a browser of his own. */
  signIn: (name: string, options?: { role?: string; path?: string; mobile?: boolean }) => Promise<Person>;
}

interface WorkerFixtures {
  natter: Natter;
}

let count = 0;

export const test = base.extend<Fixtures, WorkerFixtures>({
  natter: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the names of fixtures from this pattern.
    async ({}, use) => {
      const natter = await Natter.start();
      await use(natter);
      await natter.stop();
    },
    { scope: "worker", timeout: 180_000 },
  ],

  signIn: async ({ browser, natter }, use) => {
    const contexts: BrowserContext[] = [];
    await use(async (name, { role = "customer", path = "/chat", mobile = false } = {}) => {
      count += 1;
      const userId = `${name.toLowerCase()}-${process.pid}-${count}`;
      const account = { user_id: userId, name, roles: [role], password: natter.where.password };
      await natter.call(["service"], "POST", "/v1/users", account);
      const context = await browser.newContext({
        baseURL: natter.where.url,
        viewport: mobile ? { width: 390, height: 844 } : { width: 1280, height: 800 },
        ...(mobile ? { isMobile: true, hasTouch: true } : {}),
        permissions: ["microphone", "notifications"],
      });
      contexts.push(context);
      const page = await context.newPage();
      await page.goto("/login");
      await page.getByRole("textbox", { name: "User" }).fill(userId);
      await page.getByRole("textbox", { name: "Password" }).fill(natter.where.password);
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.waitForURL((url) => url.pathname !== "/login");
      if (new URL(page.url()).pathname !== path) {
        await page.goto(path);
      }
      return { userId, context, page };
    });
    await Promise.all(contexts.map((context) => context.close()));
  },
});

/** A conversation of these people, made by the host application. Its id. */
export async function conversationOf(natter: Natter, people: readonly Person[], title: string): Promise<string> {
  const body = { title, participant_ids: people.map((one) => one.userId), owner_id: people[0]?.userId };
  const made = (await natter.call(["service"], "POST", "/v1/conversations", body)) as { id: string };
  expect(made.id).toBeTruthy();
  return made.id;
}
