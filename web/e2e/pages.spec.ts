/** Pages: who sees which, which have a socket, and that all can be used by everybody. */

import AxeBuilder from "@axe-core/playwright";
import { ChatScreen } from "./chat";
import { conversationOf, expect, test } from "./fixtures";

declare global {
  interface Window {
    sockets: number;
  }
}

test("/login makes no connection", async ({ browser, natter }) => {
  const context = await browser.newContext({ baseURL: natter.where.url });
  await context.addInitScript(() => {
    window.sockets = 0;
    window.WebSocket = new Proxy(WebSocket, {
      construct(target, given: ConstructorParameters<typeof WebSocket>) {
        window.sockets += 1;
        return new target(...given);
      },
    });
  });
  const page = await context.newPage();
  await page.goto("/login");
  await page.getByRole("textbox", { name: "User" }).fill("nobody");
  await page.getByRole("textbox", { name: "Password" }).fill("wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("alert")).toContainText("do not fit together");
  expect(await page.evaluate(() => window.sockets)).toBe(0);

  // The count counts: the next page has one.
  await page.getByRole("button", { name: /Alice/ }).click();
  await new ChatScreen(page).connected();
  expect(await page.evaluate(() => window.sockets)).toBe(1);
  await context.close();
});

test("a page belongs to those who may see it", async ({ browser, natter, signIn }) => {
  const context = await browser.newContext({ baseURL: natter.where.url });
  const stranger = await context.newPage();
  await stranger.goto("/admin");
  await expect(stranger).toHaveURL(/\/login$/);
  await context.close();

  const anna = await signIn("Anna");
  await anna.page.goto("/admin");
  await expect(anna.page.getByText("Not for this account")).toBeVisible();
  await anna.page.goto("/no-such-page");
  await expect(anna.page.getByText("There is nothing here")).toBeVisible();
});

for (const scheme of ["light", "dark"] as const) {
  test(`no page keeps anybody out (${scheme})`, async ({ natter, signIn }) => {
    const anna = await signIn("Anna");
    const admin = await signIn("Ada", { role: "admin", path: "/admin" });
    const id = await conversationOf(natter, [anna, admin], "Axe");
    const hers = new ChatScreen(anna.page);
    await hers.open(id);
    await hers.write("Hello");
    await expect(hers.progress("Hello", "Sent")).toBeVisible();
    const found: string[] = [];
    for (const [page, path] of [
      [anna.page, "/chat"],
      [anna.page, `/chat/${id}`],
      [anna.page, "/test-websocket"],
      [admin.page, "/admin"],
      [anna.page, "/login"],
    ] as const) {
      await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
      if (path === "/login") await anna.context.clearCookies();
      await page.goto(path);
      await page.waitForLoadState("networkidle");
      await expect(page.getByRole("main")).toBeVisible();
      const { violations } = await new AxeBuilder({ page }).analyze();
      for (const { id: rule, impact, nodes } of violations) {
        if (impact === "serious" || impact === "critical") found.push(`${path} ${rule}: ${nodes[0]?.html}`);
      }
    }
    expect(found).toEqual([]);
  });
}
