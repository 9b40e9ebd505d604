/** Two people talk, each in a browser of their own. */

import { ChatScreen } from "./chat";
import { conversationOf, expect, test } from "./fixtures";

test("what one writes the other reads, and the writer sees how far it came", async ({ natter, signIn }) => {
  const anna = await signIn("Anna");
  const dora = await signIn("Dora", { role: "doctor" });
  const id = await conversationOf(natter, [anna, dora], "Knee");
  const hers = new ChatScreen(anna.page);
  const doctors = new ChatScreen(dora.page);
  await hers.open(id);
  await hers.write("Hello, doctor");
  await expect(hers.progress("Hello, doctor", "Delivered")).toBeVisible();
  await expect(dora.page.getByRole("link", { name: /Knee.*Hello, doctor.*1/ })).toBeVisible();

  await dora.page.getByRole("link", { name: /Knee/ }).click();
  await expect(doctors.message("Hello, doctor")).toBeVisible();
  await expect(hers.progress("Hello, doctor", "Read")).toBeVisible();

  await doctors.input.pressSequentially("Good mor");
  await expect(anna.page.getByText("Dora is typing…").first()).toBeVisible();
  await doctors.write("Good morning, Anna");
  await expect(hers.message("Good morning, Anna")).toBeVisible();
  await expect(anna.page.getByText("Dora is typing…")).toHaveCount(0);
});

test("a message is answered, changed and deleted, and both see it", async ({ natter, signIn }) => {
  const [anna, ben] = [await signIn("Anna"), await signIn("Ben")];
  const id = await conversationOf(natter, [anna, ben], "Bicycle");
  const [hers, his] = [new ChatScreen(anna.page), new ChatScreen(ben.page)];
  await hers.open(id);
  await his.open(id);
  await hers.write("Is it for sail?");
  await hers.act("Is it for sail?", "Edit");
  await anna.page.getByRole("textbox", { name: "Write a message" }).fill("Is it for sale?");
  await anna.page.keyboard.press("Enter");
  await expect(his.message("Is it for sale?")).toContainText("edited");

  await his.act("Is it for sale?", "Reply");
  await his.write("Yes, it is");
  await expect(hers.message("Yes, it is")).toContainText("Is it for sale?");

  await his.act("Yes, it is", "Delete");
  await ben.page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await expect(hers.message("This message was deleted")).toBeVisible();
  await expect(hers.message("Yes, it is")).toHaveCount(0);
});

test("text is text: what looks like HTML is shown as it was written", async ({ natter, signIn }) => {
  const [anna, ben] = [await signIn("Anna"), await signIn("Ben")];
  const id = await conversationOf(natter, [anna, ben], "<b>Title</b>");
  const [hers, his] = [new ChatScreen(anna.page), new ChatScreen(ben.page)];
  await hers.open(id);
  await his.open(id);
  const alarms: string[] = [];
  ben.page.on("dialog", (dialog) => {
    alarms.push(dialog.message());
    void dialog.dismiss();
  });
  const text = '<img src=x onerror="alert(1)"><b>bold</b>';
  await hers.write(text);
  await expect(his.message(text)).toBeVisible();
  await expect(his.messages.locator("b, img")).toHaveCount(0);
  expect(alarms).toEqual([]);
});

test("a message that the host application sends arrives, too", async ({ natter, signIn }) => {
  const anna = await signIn("Anna");
  const id = await conversationOf(natter, [anna], "Your order");
  const hers = new ChatScreen(anna.page);
  await hers.open(id);
  const body = { title: "Shipped", message: "Your parcel is on its way", type: "order" };
  await natter.call(["service"], "POST", `/v1/conversations/${id}/system-notifications`, body);
  await expect(hers.messages.getByText("Your parcel is on its way")).toBeVisible();
});

test("somebody begins a conversation by the other one's name", async ({ signIn }) => {
  const [anna, ben] = [await signIn("Anna"), await signIn("Ben")];
  await new ChatScreen(ben.page).connected();
  await anna.page.getByRole("button", { name: "New conversation" }).click();
  const people = anna.page.getByRole("combobox", { name: "People" });
  await people.fill(ben.userId);
  await people.press("Enter");
  await anna.page.getByRole("button", { name: "Start" }).click();
  await expect(anna.page).toHaveURL(/\/chat\/[0-9a-f-]{36}$/);
  await new ChatScreen(anna.page).write("Hello");
  await ben.page.getByRole("link", { name: /Hello/ }).click();
  await expect(new ChatScreen(ben.page).message("Hello")).toBeVisible();
});
