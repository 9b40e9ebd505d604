import { describe, expect, it } from "vitest";
import { hasFeature, PAGE_WEBSOCKET_CONFIG, pageOf } from "./pages";

describe("which page has a WebSocket", () => {
  it("is told by the seed's fields, and by no others", () => {
    for (const config of Object.values(PAGE_WEBSOCKET_CONFIG)) {
      expect(Object.keys(config).sort()).toEqual([
        "autoConnect",
        "connectionType",
        "enabled",
        "features",
        "requireAuth",
      ]);
    }
  });

  it("gives the chat what one talks with, and no monitoring", () => {
    const { config } = pageOf("/chat/01a20619");
    expect(config.connectionType).toBe("chat");
    expect(config.features).toEqual(["messaging", "typing_indicator", "file_upload", "voice_note"]);
    expect(hasFeature(config, "user_monitoring")).toBe(false);
  });

  it("gives the admin page monitoring, and nothing to talk with", () => {
    const { config } = pageOf("/admin");
    expect(config.connectionType).toBe("admin");
    expect(config.features).toEqual(["system_notifications", "user_monitoring", "real_time_stats"]);
    expect(hasFeature(config, "messaging")).toBe(false);
  });

  it("never gives /login one", () => {
    expect(pageOf("/login").config.enabled).toBe(false);
    expect(pageOf("/login/").config.enabled).toBe(false);
  });

  it("goes by whole segments, and the longest route wins", () => {
    const pages = { ...PAGE_WEBSOCKET_CONFIG, "/chat/archive": { ...pageOf("/chat").config, enabled: false } };
    expect(pageOf("/chat/archive/2", pages).page).toBe("/chat/archive");
    expect(pageOf("/chat/archived", pages).page).toBe("/chat");
    expect(pageOf("/chatter", pages).config.enabled).toBe(false);
    expect(pageOf("/constructor", pages).config.enabled).toBe(false);
  });

  it("leaves a page that is not listed without one, even if the root has one", () => {
    const pages = { "/": pageOf("/chat").config };
    expect(pageOf("/", pages).config.enabled).toBe(true);
    expect(pageOf("/imprint", pages).config.enabled).toBe(false);
  });
});
