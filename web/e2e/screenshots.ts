/**
 * A picture of every page, light and dark, on a desktop and on a phone, in `screenshots/`: for whoever wants to see what a
 * change looks like. It asserts nothing but that each page came up.
 */

import { type Browser, type BrowserContext, expect, type Page } from "@playwright/test";
import { ChatScreen } from "./chat";
import { test } from "./fixtures";
import type { Natter } from "./natter";

const FOLDER = "screenshots";
const SCHEMES = ["light", "dark"] as const;
const VIEWPORTS = {
  desktop: { viewport: { width: 1280, height: 800 } },
  phone: { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true },
} as const;
type Device = keyof typeof VIEWPORTS;

const PEOPLE = [
  { user_id: "anna", name: "Anna Berg", roles: ["customer"] },
  { user_id: "dr-lin", name: "Dr. Lin", roles: ["doctor"] },
  { user_id: "mira", name: "Mira Solano", roles: ["consultant"] },
  { user_id: "tom", name: "Tom Okafor", roles: ["customer"] },
  { user_id: "ada", name: "Ada", roles: ["admin"] },
] as const;

interface Story {
  readonly knee: string;
  readonly message: string;
}

for (const device of ["desktop", "phone"] as const) {
  test(`every page on a ${device}`, async ({ browser, natter }) => {
    test.setTimeout(600_000);
    const story = await tell(browser, natter);
    const anna = await enter(browser, natter, "anna", device);
    const mira = await enter(browser, natter, "mira", device);
    const ada = await enter(browser, natter, "ada", device);
    const stranger = await visitor(browser, natter, device);
    const lin = await enter(browser, natter, "dr-lin", "desktop");
    await lin.goto(`/chat/${story.knee}`);
    for (const scheme of SCHEMES) {
      for (const page of [anna, mira, ada, stranger]) {
        await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
      }
      const take = async (page: Page, name: string): Promise<void> => {
        // Charts draw themselves a moment after their numbers are there, pictures when they are loaded.
        await page.waitForLoadState("networkidle");
        await page.screenshot({ path: `${FOLDER}/${name}-${device}-${scheme}.png`, animations: "disabled" });
      };

      await stranger.goto("/login");
      await expect(stranger.getByRole("button", { name: "Sign in" })).toBeVisible();
      await take(stranger, "login");

      await anna.goto("/chat");
      await expect(anna.getByText("Knee, after the operation").first()).toBeVisible();
      await take(anna, "chat-list");

      await anna.goto(`/chat/${story.knee}`);
      await expect(new ChatScreen(anna).message("When may I shower?")).toBeVisible();
      await lin.getByRole("textbox", { name: "Write a message" }).pressSequentially("Good", { delay: 20 });
      await expect(anna.getByText("is typing").filter({ visible: true }).first()).toBeVisible();
      await take(anna, "chat");

      await mira.goto("/chat");
      await mira.getByText(/^Queue/).click();
      await expect(mira.getByText("Billing question").first()).toBeVisible();
      await take(mira, "chat-queue");

      await anna.goto("/test-websocket");
      await anna
        .getByRole("region", { name: "Connection" })
        .getByRole("button", { name: "Connect", exact: true })
        .click();
      await anna.getByRole("button", { name: /^Flood/ }).click();
      await expect(anna.getByRole("region", { name: "State", exact: true }).getByText("Connected")).toBeVisible();
      await take(anna, "test-websocket");

      await anna.goto("/no-such-page");
      await expect(anna.getByText("There is nothing here")).toBeVisible();
      await take(anna, "not-found");

      await adminPages(ada, natter, story, take);
    }
    await Promise.all([anna, mira, ada, stranger, lin].map((page) => page.context().close()));
  });
}

async function adminPages(
  page: Page,
  natter: Natter,
  story: Story,
  take: (page: Page, name: string) => Promise<void>,
): Promise<void> {
  await page.goto("/admin");
  await expect(page.getByText(/Figures of/).first()).toBeVisible();
  await traffic(page, natter);
  await take(page, "admin-overview");
  const tabs = { Connections: "connections", Broadcast: "broadcast", "Message story": "story", "Dead letters": "dead" };
  for (const [tab, name] of Object.entries(tabs)) {
    await page.getByRole("tab", { name: tab }).click();
    if (name === "story") {
      await page.getByRole("textbox", { name: "Message id" }).fill(story.message);
      await page.getByRole("button", { name: "Look it up" }).click();
      await expect(page.getByText("A device has it").first()).toBeVisible();
    }
    if (name === "broadcast") {
      await page.getByRole("textbox", { name: "Title" }).fill("Tonight");
      await page.getByRole("textbox", { name: "Text" }).fill("We are away from 2 to 3 o'clock.");
    }
    await take(page, `admin-${name}`);
  }
}

/** Something for the charts to show: for half a minute more and less of it. */
async function traffic(page: Page, natter: Natter): Promise<void> {
  for (let second = 0; second < 30; second += 1) {
    const many = 2 + Math.round(6 * Math.abs(Math.sin(second / 4)));
    await Promise.all(
      Array.from({ length: many }, (_, index) =>
        say(natter, busy, index % 2 ? "tom" : "mira", `Noted (${second}.${index})`),
      ),
    );
    await page.waitForTimeout(900);
  }
}

/** The conversation of two who talk all the time, so that the one in the picture stays as it is. */
let busy = "";
let said = 0;

async function say(natter: Natter, id: string, who: string, content: string, more: object = {}): Promise<string> {
  said += 1;
  const draft = { client_msg_id: `said-${process.pid}-${said}`, content, ...more };
  const path = `/v1/conversations/${id}/messages`;
  const role = PEOPLE.find((one) => one.user_id === who)?.roles[0] ?? "customer";
  return ((await natter.call([role], "POST", path, draft, who)) as { id: string }).id;
}

async function conversation(natter: Natter, title: string, people: readonly string[]): Promise<string> {
  const body = { title, participant_ids: people, owner_id: people[0] };
  return ((await natter.call(["service"], "POST", "/v1/conversations", body)) as { id: string }).id;
}

let told: Promise<Story> | undefined;

/** What the pictures show, made once: some people, what they said, a picture, a voice note, somebody who waits. */
function tell(browser: Browser, natter: Natter): Promise<Story> {
  told ??= (async () => {
    for (const person of PEOPLE) {
      await natter.call(["service"], "POST", "/v1/users", { ...person, password: natter.where.password });
    }
    busy = await conversation(natter, "Front desk", ["tom", "mira"]);
    const travel = await conversation(natter, "Travel vaccination", ["anna", "mira"]);
    await say(natter, travel, "mira", "The second dose is due in four weeks. I have put it into your calendar.");
    const teeth = await conversation(natter, "Invoice 2026-118", ["anna", "tom"]);
    await say(natter, teeth, "anna", "Paid this morning.");
    const knee = await conversation(natter, "Knee, after the operation", ["anna", "dr-lin", "mira"]);
    await say(natter, knee, "dr-lin", "Good morning Anna, how was the night?");
    await say(natter, knee, "anna", "Better than the first one. It is still swollen, but I slept six hours.");
    await say(natter, knee, "anna", "This is from this morning's check:");
    const anna = await enter(browser, natter, "anna", "desktop");
    const hers = new ChatScreen(anna);
    await hers.open(knee);
    const chosen = anna.waitForEvent("filechooser");
    await anna.getByRole("button", { name: "Attach files" }).click();
    await (await chosen).setFiles({ name: "x-ray.png", mimeType: "image/png", buffer: await drawing(anna) });
    await hers.input.press("Enter");
    await expect(hers.messages.getByRole("img", { name: /x-ray/ })).toBeVisible({ timeout: 30_000 });
    const message = await say(natter, knee, "dr-lin", "Thank you. The joint is where it should be.");
    await anna.getByRole("button", { name: "Record a voice note" }).click();
    await expect(anna.getByText(/0:03/).first()).toBeVisible();
    await anna.getByRole("button", { name: "Send the voice note" }).click();
    await expect(hers.messages.getByRole("button", { name: "Play the voice note" })).toBeVisible({ timeout: 30_000 });
    await say(natter, knee, "dr-lin", "Please keep the leg up today, and call at once if it gets warm.", {
      is_important: true,
    });
    await hers.write("I will. When may I shower?");
    await expect(
      hers.progress("When may I shower?", "Sent").or(hers.progress("When may I shower?", "Delivered")),
    ).toBeVisible();
    await anna.context().close();
    await natter.call(
      ["customer"],
      "POST",
      "/v1/consults",
      { topic: "Billing question", content: "I was billed twice for March." },
      "tom",
    );
    return { knee, message };
  })();
  return told;
}

/** Signed in, in a browser of that size, with nothing open yet. */
async function enter(browser: Browser, natter: Natter, userId: string, device: Device): Promise<Page> {
  const page = await visitor(browser, natter, device);
  await page.goto("/login");
  await page.getByRole("textbox", { name: "User" }).fill(userId);
  await page.getByRole("textbox", { name: "Password" }).fill(natter.where.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL((url) => url.pathname !== "/login");
  return page;
}

async function visitor(browser: Browser, natter: Natter, device: Device): Promise<Page> {
  const context: BrowserContext = await browser.newContext({
    ...VIEWPORTS[device],
    baseURL: natter.where.url,
    permissions: ["microphone", "notifications"],
  });
  return context.newPage();
}

/** A picture that could be an X-ray of a knee, drawn in the page. */
async function drawing(page: Page): Promise<Buffer> {
  const url = await page.evaluate(() => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 640, height: 420 });
    const pen = canvas.getContext("2d") as CanvasRenderingContext2D;
    pen.fillStyle = "#0c1620";
    pen.fillRect(0, 0, 640, 420);
    const bone = (x: number, y: number, width: number, height: number, tilt: number) => {
      const shade = pen.createRadialGradient(x, y, 4, x, y, Math.max(width, height));
      shade.addColorStop(0, "rgba(214, 232, 240, .85)");
      shade.addColorStop(1, "rgba(120, 150, 170, .05)");
      pen.fillStyle = shade;
      pen.beginPath();
      pen.ellipse(x, y, width, height, tilt, 0, 7);
      pen.fill();
    };
    bone(320, 90, 46, 120, 0.04);
    bone(300, 190, 62, 40, 0.1);
    bone(350, 190, 58, 38, -0.1);
    bone(325, 250, 74, 30, 0);
    bone(318, 350, 42, 120, -0.03);
    bone(382, 350, 16, 110, -0.06);
    bone(262, 205, 26, 40, 0.4);
    return canvas.toDataURL("image/png");
  });
  return Buffer.from(url.slice(url.indexOf(",") + 1), "base64");
}
