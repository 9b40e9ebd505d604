import { describe, expect, it } from "vitest";
import { loadConfig, mergeConfig } from "./config";

const NOTHING = { DEV: false };

describe("where the page finds its servers", () => {
  it("is its own origin if nobody says anything", () => {
    expect(mergeConfig(NOTHING, undefined)).toEqual({ apiUrl: "", wsUrls: [], demo: false });
  });

  it("is what was built in, several edges with commas", () => {
    const build = {
      DEV: false,
      VITE_NATTER_API_URL: "https://a.example",
      VITE_NATTER_WS_URL: "wss://e1/v1/ws, wss://e2/v1/ws",
    };
    expect(mergeConfig(build, {})).toEqual({
      apiUrl: "https://a.example",
      wsUrls: ["wss://e1/v1/ws", "wss://e2/v1/ws"],
      demo: false,
    });
  });

  it("is what the server says, whatever was built in", () => {
    const build = { DEV: false, VITE_NATTER_WS_URL: "wss://old/v1/ws" };
    const told = { api_url: "https://new.example", ws_urls: ["wss://new/v1/ws"], vapid_public_key: "BKey", demo: true };
    expect(mergeConfig(build, told)).toEqual({
      apiUrl: "https://new.example",
      wsUrls: ["wss://new/v1/ws"],
      vapidPublicKey: "BKey",
      demo: true,
    });
  });

  it("ignores what is no address of a socket", () => {
    const told = { ws_urls: ["javascript:alert(1)", 7, "https://x/v1/ws", "ws://ok/v1/ws"], demo: "yes" };
    expect(mergeConfig(NOTHING, told)).toEqual({ apiUrl: "", wsUrls: ["ws://ok/v1/ws"], demo: false });
  });

  it("does without /config.json, whether it is missing, no JSON, or cannot be asked for", async () => {
    const answers = [
      async () => new Response("", { status: 404 }),
      async () => new Response("<!doctype html>"),
      async () => Promise.reject(new TypeError("network")),
    ];
    for (const ask of answers) expect(await loadConfig(NOTHING, ask)).toEqual({ apiUrl: "", wsUrls: [], demo: false });
  });
});
