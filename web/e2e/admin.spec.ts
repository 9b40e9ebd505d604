/** The page of those who run Natter, on a server that is alive. */

import { ChatScreen } from "./chat";
import { conversationOf, expect, test } from "./fixtures";

test("an admin sees who is connected, and disconnects somebody", async ({ natter, signIn }) => {
  const anna = await signIn("Anna");
  const hers = new ChatScreen(anna.page);
  await hers.connected();
  let sockets = 0;
  anna.page.on("websocket", () => (sockets += 1));
  const admin = await signIn("Ada", { role: "admin", path: "/admin" });
  await admin.page.getByRole("tab", { name: "Connections" }).click();
  await admin.page.getByRole("textbox", { name: "User id" }).fill(anna.userId);
  await admin.page.getByRole("button", { name: `Disconnect ${anna.userId}, Desktop` }).click();
  await admin.page.getByRole("dialog").getByRole("button", { name: "Disconnect" }).click();
  await expect(admin.page.getByText(/the edges were told/).first()).toBeVisible();
  // She is told, comes back as she may, and goes on.
  await expect.poll(() => sockets, { timeout: 30_000 }).toBe(1);
  await hers.connected();
  void natter;
});

test("the figures are alive", async ({ signIn }) => {
  const admin = await signIn("Ada", { role: "admin", path: "/admin" });
  const figure = admin.page.getByText(/Figures of/).first();
  await expect(figure).toBeVisible();
  const before = await figure.textContent();
  await expect.poll(() => figure.textContent(), { timeout: 30_000 }).not.toBe(before);
});

test("a broadcast reaches everybody who is there", async ({ signIn }) => {
  const anna = await signIn("Anna");
  await new ChatScreen(anna.page).connected();
  const admin = await signIn("Ada", { role: "admin", path: "/admin" });
  await admin.page.getByRole("tab", { name: "Broadcast" }).click();
  await admin.page.getByRole("textbox", { name: "Title" }).fill("Tonight");
  await admin.page.getByRole("textbox", { name: "Text" }).fill("We are away from 2 to 3 o'clock");
  await admin.page.getByRole("button", { name: "Review and send" }).click();
  await admin.page.getByRole("dialog").getByRole("button", { name: "Send now" }).click();
  await expect(admin.page.getByText(/Accepted:/).first()).toBeVisible();
  await anna.page.getByRole("button", { name: /^Notifications/ }).click();
  await expect(anna.page.getByText("We are away from 2 to 3 o'clock").first()).toBeVisible();
});

test("the story of a message says which device has it", async ({ natter, signIn }) => {
  const [anna, ben] = [await signIn("Anna"), await signIn("Ben")];
  const id = await conversationOf(natter, [anna, ben], "Story");
  await new ChatScreen(ben.page).open(id);
  const draft = { client_msg_id: "story", content: "Where is it?" };
  const sent = (await natter.call(["customer"], "POST", `/v1/conversations/${id}/messages`, draft, anna.userId)) as {
    id: string;
  };
  await expect(new ChatScreen(ben.page).message("Where is it?")).toBeVisible();
  const admin = await signIn("Ada", { role: "admin", path: "/admin" });
  await admin.page.getByRole("tab", { name: "Message story" }).click();
  await admin.page.getByRole("textbox", { name: "Message id" }).fill(sent.id);
  await admin.page.getByRole("button", { name: "Look it up" }).click();
  await expect(admin.page.getByText("A device has it").first()).toBeVisible();
  await expect(admin.page.getByText(ben.userId).first()).toBeVisible();
});
