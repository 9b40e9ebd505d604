/** Whoever is away gets a push. */

import { ChatScreen } from "./chat";
import { conversationOf, expect, test } from "./fixtures";

test("something important is pushed to the phone that is away, although a desktop is there", async ({
  natter,
  signIn,
}) => {
  const [anna, ben] = [await signIn("Anna"), await signIn("Ben")];
  const id = await conversationOf(natter, [anna, ben], "Important");
  const device = { device_id: "phone", app_id: "app", platform: "android", token: `token-of-${ben.userId}` };
  await natter.call(["customer"], "POST", "/v1/devices", device, ben.userId);
  const [hers, his] = [new ChatScreen(anna.page), new ChatScreen(ben.page)];
  await hers.open(id);
  await his.open(id);
  await anna.page.getByRole("button", { name: "Mark as important" }).click();
  await hers.write("Please call at once");
  await expect(his.message("Please call at once")).toBeVisible();
  await expect.poll(() => natter.log("notifier"), { timeout: 30_000 }).toMatch(new RegExp(`push.*${ben.userId}`));
});
