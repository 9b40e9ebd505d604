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

test("a push is shown by the browser, and a click on it opens the conversation", async ({ natter, signIn }) => {
  const anna = await signIn("Anna");
  const id = await conversationOf(natter, [anna], "Clicked");
  await new ChatScreen(anna.page).connected();
  await anna.page.evaluate(async () => {
    await navigator.serviceWorker.register("/sw.js");
    await navigator.serviceWorker.ready;
  });
  const browser = await anna.context.newCDPSession(anna.page);
  const registered = new Promise<string>((resolve) => {
    browser.on("ServiceWorker.workerRegistrationUpdated", ({ registrations }) => {
      const [one] = registrations;
      if (one !== undefined) resolve(one.registrationId);
    });
  });
  await browser.send("ServiceWorker.enable");
  const push = { kind: "alert", title: "Ben", content: "Are you there?", tag: "one", data: { conversation_id: id } };
  // Twice, as a notifier that was killed between sending and writing it down does it.
  for (const _ of ["sent", "sent again"]) {
    await browser.send("ServiceWorker.deliverPushMessage", {
      origin: natter.where.url,
      registrationId: await registered,
      data: JSON.stringify(push),
    });
  }
  const shown = () =>
    anna.page.evaluate(async () => {
      return (await (await navigator.serviceWorker.ready).getNotifications()).map((one) => `${one.title}: ${one.body}`);
    });
  await expect.poll(shown).toEqual(["Ben: Are you there?"]);

  // No test can click on what the system shows, so the browser's event is made.
  const [worker] = anna.context.serviceWorkers();
  await worker?.evaluate(async () => {
    const self = globalThis as unknown as {
      registration: ServiceWorkerRegistration;
      NotificationEvent: new (type: string, init: { notification: Notification }) => Event;
      dispatchEvent(event: Event): void;
    };
    const [notification] = await self.registration.getNotifications();
    if (notification !== undefined)
      self.dispatchEvent(new self.NotificationEvent("notificationclick", { notification }));
  });
  await expect(anna.page).toHaveURL(new RegExp(`/chat/${id}$`));
  await expect.poll(shown).toEqual([]);
});
