import { describe, expect, it } from "vitest";
import type { MessageView, PersonView } from "../../service/chat/model";
import { message } from "../../testing/messages";
import { keepSame, lastEditable, lastReads, prepended, rowsOf } from "./rows";

const NOON = new Date(2026, 4, 20, 12).getTime();
const MINUTE = 60_000;

const of = (messages: readonly MessageView[], openedAtSeq = 99, hasOlder = false) =>
  rowsOf({ messages, openedAtSeq, hasOlder });
const at = (seq: number, more: Partial<MessageView> = {}) => message({ seq, at: NOON + seq * MINUTE, ...more });
const person = (userId: string, readSeq: number): PersonView => ({ userId, name: userId, devices: [], readSeq });

describe("rows of a timeline", () => {
  it("groups what one person says within five minutes", () => {
    const rows = of([at(1), at(2), at(3, { senderId: "ben" }), at(9, { senderId: "ben" })]);
    expect(rows.map((row) => [row.first, row.last])).toEqual([
      [true, false],
      [false, true],
      [true, true],
      [true, true],
    ]);
  });

  it("never groups a notice of the system, nor a note with what the customer sees", () => {
    const rows = of([at(1), at(2, { internal: true }), at(3, { kind: "system" }), at(4, { kind: "system" })]);
    expect(rows.every((row) => row.first && row.last)).toBe(true);
  });

  it("names a day above its first message, and breaks the group at midnight", () => {
    const late = new Date(2026, 4, 20, 23, 59).getTime();
    const rows = of([message({ seq: 1, at: late }), message({ seq: 2, at: late + 2 * MINUTE })]);
    expect(rows.map((row) => row.day)).toEqual([new Date(2026, 4, 20).getTime(), new Date(2026, 4, 21).getTime()]);
    expect(rows[1]?.first).toBe(true);
  });

  it("draws the line 'new' once, above the first unread message of somebody else", () => {
    expect(of([at(1), at(2), at(3)], 1).map((row) => row.unreadBegins)).toEqual([false, true, false]);
    expect(of([at(1), at(2, { mine: true }), at(3)], 1).some((row) => row.unreadBegins)).toBe(false);
  });

  it("draws no line where its true place is not loaded", () => {
    expect(of([at(7), at(8)], 3, true).some((row) => row.unreadBegins)).toBe(false);
  });

  it("keeps the objects of rows that did not change", () => {
    const messages = [at(1), at(20), at(40)];
    const before = of(messages);
    const after = keepSame(before, of([...messages, at(60)]));
    expect(after.slice(0, 3).every((row, index) => row === before[index])).toBe(true);
  });

  it("counts what was put before, and nothing when messages come at the end", () => {
    const before = of([at(5), at(6)]);
    expect(prepended(before, of([at(3), at(4), at(5), at(6)]))).toBe(2);
    expect(prepended(before, of([at(5), at(6), at(7)]))).toBe(0);
    expect(prepended([], before)).toBe(0);
  });

  it("puts readers at the last message they have read, never at their own, and never me", () => {
    const messages = [at(1, { mine: true, senderId: "me" }), at(2, { mine: true, senderId: "me" }), at(3)];
    const reads = lastReads(messages, [person("me", 3), person("ben", 2), person("anna", 3), person("cleo", 0)], "me");
    expect([...reads].map(([key, people]) => [key, people.map((one) => one.userId)])).toEqual([
      [messages[1]?.key, ["ben"]],
    ]);
  });

  it("edits the newest own text that the server has", () => {
    const own = at(2, { mine: true });
    const { seq: _, ...unsent } = at(5, { mine: true });
    expect(lastEditable([at(1, { mine: true }), own, at(3), at(4, { mine: true, kind: "image" }), unsent])).toBe(own);
    expect(lastEditable([at(1, { mine: true, deleted: true })])).toBeUndefined();
  });
});
