/** Files, pictures and voice notes go there, and come back as they were. */

import { readFile } from "node:fs/promises";
import { deflateSync } from "node:zlib";
import { ChatScreen } from "./chat";
import { conversationOf, expect, test } from "./fixtures";

test("a file arrives as it was sent", async ({ natter, signIn }) => {
  const [anna, ben] = [await signIn("Anna"), await signIn("Ben")];
  const id = await conversationOf(natter, [anna, ben], "Files");
  const [hers, his] = [new ChatScreen(anna.page), new ChatScreen(ben.page)];
  await hers.open(id);
  await his.open(id);
  const pdf = Buffer.concat([Buffer.from("%PDF-1.4\n"), Buffer.alloc(200_000, "x"), Buffer.from("\n%%EOF\n")]);
  const chosen = anna.page.waitForEvent("filechooser");
  await anna.page.getByRole("button", { name: "Attach files" }).click();
  await (await chosen).setFiles({ name: "findings.pdf", mimeType: "application/pdf", buffer: pdf });
  await hers.write("The findings");
  await expect(his.message("findings.pdf")).toBeVisible({ timeout: 30_000 });
  const coming = ben.page.waitForEvent("download");
  await his.message("findings.pdf").getByRole("button", { name: "Download findings.pdf" }).click();
  const download = await coming;
  expect(download.suggestedFilename()).toBe("findings.pdf");
  expect((await readFile(await download.path())).equals(pdf)).toBe(true);
});

test("a picture is shown where it was dropped and where it arrives", async ({ natter, signIn }) => {
  const [anna, ben] = [await signIn("Anna"), await signIn("Ben")];
  const id = await conversationOf(natter, [anna, ben], "Pictures");
  const [hers, his] = [new ChatScreen(anna.page), new ChatScreen(ben.page)];
  await hers.open(id);
  await his.open(id);
  const chosen = anna.page.waitForEvent("filechooser");
  await anna.page.getByRole("button", { name: "Attach files" }).click();
  await (await chosen).setFiles({ name: "red.png", mimeType: "image/png", buffer: redSquare(40) });
  await hers.input.press("Enter");
  for (const screen of [hers, his]) {
    const picture = screen.messages.getByRole("img", { name: /red\.png/ });
    await expect(picture).toBeVisible({ timeout: 30_000 });
    await expect.poll(() => picture.evaluate((image: HTMLImageElement) => image.naturalWidth)).toBe(40);
  }
});

test("a voice note is recorded, arrives with its length, and plays", async ({ natter, signIn }) => {
  const [anna, ben] = [await signIn("Anna"), await signIn("Ben")];
  const id = await conversationOf(natter, [anna, ben], "Voice");
  const [hers, his] = [new ChatScreen(anna.page), new ChatScreen(ben.page)];
  await hers.open(id);
  await his.open(id);
  await anna.page.getByRole("button", { name: "Record a voice note" }).click();
  await expect(anna.page.getByText(/0:02/).first()).toBeVisible();
  await anna.page.getByRole("button", { name: "Send the voice note" }).click();
  const play = his.messages.getByRole("button", { name: "Play the voice note" });
  await expect(play).toBeVisible({ timeout: 30_000 });
  await play.click();
  await expect(his.messages.getByRole("button", { name: "Pause the voice note" })).toBeVisible();
  // It ends by itself: so it was played.
  await expect(play).toBeVisible();
});

/** A PNG of that many pixels each way. */
function redSquare(size: number): Buffer {
  const row = Buffer.concat([Buffer.from([0]), Buffer.concat(Array(size).fill(Buffer.from([255, 0, 0])))]);
  const header = Buffer.alloc(13);
  header.writeUInt32BE(size, 0);
  header.writeUInt32BE(size, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const parts = [
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(Buffer.concat(Array(size).fill(row)))),
    chunk("IEND"),
  ];
  return Buffer.concat([Buffer.from("89504e470d0a1a0a", "hex"), ...parts]);
}

function chunk(type: string, data: Buffer = Buffer.alloc(0)): Buffer {
  const body = Buffer.concat([Buffer.from(type), data]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}

function crc32(data: Buffer): number {
  let sum = ~0;
  for (const byte of data) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit += 1) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return ~sum >>> 0;
}
