import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createTexts, LANGUAGES, preferredLanguage, resources } from "./index";

const SOURCE = join(import.meta.dirname, "../..");
const all = resources() as Record<string, Record<string, object>>;

function leaves(texts: object, path = ""): [key: string, text: string][] {
  return Object.entries(texts).flatMap(([key, value]) =>
    typeof value === "string" ? [[`${path}${key}`, value] as [string, string]] : leaves(value, `${path}${key}.`),
  );
}

const placeholders = (text: string): string[] =>
  [...text.matchAll(/{{\s*(\w+)/g)].map((match) => match[1] ?? "").sort();

function sources(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) {
      return sources(path);
    }
    return /\.tsx?$/.test(name) && !/\.test\./.test(name) ? [path] : [];
  });
}

describe("texts", () => {
  it("are there in all languages, with the same keys and the same placeholders", () => {
    const [first, ...others] = Object.keys(LANGUAGES);
    const shape = (language = "") =>
      Object.entries(all[language] ?? {}).map(([name, texts]) => [
        name,
        leaves(texts)
          .map(([key, text]) => [key, placeholders(text)])
          .sort(),
      ]);
    expect(shape(first).length).toBeGreaterThan(2);
    for (const other of others) {
      expect(shape(other)).toEqual(shape(first));
    }
  });

  it("are never empty", () => {
    const empty = Object.values(all).flatMap((names) => leaves(names).filter(([, text]) => text.trim() === ""));
    expect(empty).toEqual([]);
  });

  it("exist for every key that the chat's components name", () => {
    const keys = new Set(leaves(all.en ?? {}).map(([key]) => key.replace(/_(one|other)$/, "")));
    const missing = [
      ...sources(join(SOURCE, "components/chat")),
      ...sources(join(SOURCE, "components/header")),
    ].flatMap((path) => {
      const text = readFileSync(path, "utf8");
      const named = [...text.matchAll(/\bt\(\s*"([^"]+)"/g)].map((match) => match[1] ?? "");
      const known = (key: string): boolean =>
        key.includes(":")
          ? keys.has(key.replace(":", "."))
          : ["chat", "common"].some((name) => keys.has(`${name}.${key}`));
      return named.filter((key) => !known(key)).map((key) => `${path}: ${key}`);
    });
    expect(missing).toEqual([]);
  });

  it("count in the way of the language", () => {
    expect(createTexts("en").t("chat:unread", { count: 1 })).toBe("1 unread message");
    expect(createTexts("en").t("chat:unread", { count: 3 })).toBe("3 unread messages");
    expect(createTexts("zh-CN").t("chat:unread", { count: 1 })).toBe("1 条未读消息");
  });

  it("come in the language that was chosen, else in one that the browser wants, else in English", () => {
    expect(preferredLanguage(["de", "zh-TW"], null)).toBe("zh-CN");
    expect(preferredLanguage(["zh"], "en")).toBe("en");
    expect(preferredLanguage(["de"], null)).toBe("en");
  });
});
