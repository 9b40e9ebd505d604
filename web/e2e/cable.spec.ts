/** The cable is pulled: nothing is lost, and nothing comes twice. */

import { ChatScreen } from "./chat";
import { conversationOf, expect, type Person, test } from "./fixtures";
import type { Natter } from "./natter";

const EDGES = ["edge-1", "edge-2"];

/** As the host application would send it in somebody's name. */
async function say(natter: Natter, who: Person, conversationId: string, text: string): Promise<void> {
  const draft = { client_msg_id: text.replaceAll(" ", "-"), content: text };
  await natter.call(["customer"], "POST", `/v1/conversations/${conversationId}/messages`, draft, who.userId);
}

test.afterEach(async ({ natter }) => {
  // Whatever a test left behind: the next ones need both.
  for (const edge of EDGES) await natter.part("ensure", edge);
});

test("the edges die while people talk, and come back", async ({ natter, signIn }) => {
  const [anna, ben] = [await signIn("Anna"), await signIn("Ben")];
  const id = await conversationOf(natter, [anna, ben], "Cable");
  const [hers, his] = [new ChatScreen(anna.page), new ChatScreen(ben.page)];
  await hers.open(id);
  await his.open(id);
  await hers.write("n-1");
  await expect(his.message("n-1")).toBeVisible();

  for (const edge of EDGES) await natter.part("kill", edge);
  await expect(anna.page.getByText(/Reconnecting…/).first()).toBeVisible();
  await say(natter, ben, id, "n-2");
  await hers.write("n-3");
  await say(natter, ben, id, "n-4");
  await hers.write("n-5");
  for (const edge of EDGES) await natter.part("start", edge);

  await hers.connected();
  await his.connected();
  await expect(hers.message("n-5")).toBeVisible();
  await expect(his.message("n-5")).toBeVisible();
  const all = ["n-1", "n-2", "n-3", "n-4", "n-5"];
  await expect.poll(async () => (await his.shown(/n-\d/)).toSorted()).toEqual(all);
  // Both see the same order: the record's.
  await expect.poll(async () => await hers.shown(/n-\d/)).toEqual(await his.shown(/n-\d/));
  await hers.write("n-6");
  await expect(his.message("n-6")).toBeVisible();
});

test("one edge dies, and its people go on at the other one", async ({ natter, signIn }) => {
  const [anna, ben] = [await signIn("Anna"), await signIn("Ben")];
  const id = await conversationOf(natter, [anna, ben], "Half a cable");
  const [hers, his] = [new ChatScreen(anna.page), new ChatScreen(ben.page)];
  await hers.open(id);
  await his.open(id);
  for (const edge of EDGES) {
    await natter.part("kill", edge);
    await hers.write(`without ${edge}`);
    await expect(his.message(`without ${edge}`)).toBeVisible({ timeout: 30_000 });
    await natter.part("start", edge);
  }
  expect(await his.shown(/without edge-\d/)).toEqual(EDGES.map((edge) => `without ${edge}`));
});

test("what could not be sent survives a reload of the tab, and is sent once", async ({ natter, signIn }) => {
  const [anna, ben] = [await signIn("Anna"), await signIn("Ben")];
  const id = await conversationOf(natter, [anna, ben], "Reload");
  const [hers, his] = [new ChatScreen(anna.page), new ChatScreen(ben.page)];
  await hers.open(id);
  await his.open(id);
  for (const edge of EDGES) await natter.part("kill", edge);
  await anna.context.route("**/v1/conversations/*/messages", (route) => route.abort());
  await hers.write("not lost");
  await expect(hers.progress("not lost", "Sending")).toBeVisible();

  await anna.page.reload();
  await expect(hers.progress("not lost", "Sending")).toBeVisible();
  await anna.context.unroute("**/v1/conversations/*/messages");
  for (const edge of EDGES) await natter.part("start", edge);
  await expect(his.message("not lost")).toBeVisible({ timeout: 30_000 });
  await expect(hers.progress("not lost", "Read")).toBeVisible();
  await anna.page.reload();
  await expect(hers.message("not lost")).toHaveCount(1);
  await expect(his.message("not lost")).toHaveCount(1);
});

test("the browser goes offline and comes back with everything", async ({ natter, signIn }) => {
  const [anna, ben] = [await signIn("Anna"), await signIn("Ben")];
  const id = await conversationOf(natter, [anna, ben], "Offline");
  const hers = new ChatScreen(anna.page);
  await hers.open(id);
  // She has read what is there and stands at its end, so the list stays at the end when more comes.
  await say(natter, ben, id, "before");
  await expect(hers.message("before")).toBeVisible();
  await anna.context.setOffline(true);
  await expect(anna.page.getByText(/You are offline/).first()).toBeVisible();
  await hers.write("from the tunnel");
  for (let n = 1; n <= 30; n += 1) await say(natter, ben, id, `missed-${n}`);
  await anna.context.setOffline(false);
  await expect(hers.message("from the tunnel")).toBeVisible();
  await expect(hers.progress("from the tunnel", "Delivered")).toBeVisible({ timeout: 30_000 });
  const record = (await natter.call(["service"], "GET", `/v1/conversations/${id}/messages?limit=50`)) as {
    messages: { content: string }[];
  };
  expect(record.messages).toHaveLength(32);
  await expect(hers.message("missed-30")).toBeVisible();
});

test("tabs of one user share one socket, and all of them go on", async ({ natter, signIn }) => {
  const [anna, ben] = [await signIn("Anna"), await signIn("Ben")];
  const id = await conversationOf(natter, [anna, ben], "Tabs");
  const first = new ChatScreen(anna.page);
  let sockets = 0;
  const second = new ChatScreen(await anna.context.newPage());
  for (const { page } of [first, second]) page.on("websocket", () => (sockets += 1));
  await first.open(id);
  await second.open(id);
  await say(natter, ben, id, "to both");
  await expect(first.message("to both")).toBeVisible();
  await expect(second.message("to both")).toBeVisible();
  expect(sockets).toBe(1);
  // The tab that held the socket is gone: the other one has one of its own, and misses nothing.
  await first.page.close();
  await say(natter, ben, id, "to the other one");
  await expect(second.message("to the other one")).toBeVisible({ timeout: 30_000 });
});
