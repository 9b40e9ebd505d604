// @vitest-environment jsdom
import { screen } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";
import type { ConnectionStatus } from "../service/websocket/types";
import { renderChat } from "../testing/render";
import { WebSocketStatus, type WebSocketStatusProps } from "./WebSocketStatus";

function setup(given: Partial<WebSocketStatusProps> = {}) {
  const [connect, disconnect] = [vi.fn(), vi.fn()];
  const props: WebSocketStatusProps = {
    isConnected: false,
    connectionStatus: "idle",
    isEnabled: true,
    connectionType: "chat",
    connect,
    disconnect,
    ...given,
  };
  return { connect, disconnect, ...renderChat(<WebSocketStatus {...props} />) };
}

describe("the status of a page's socket", () => {
  it.each<[ConnectionStatus, string]>([
    ["idle", "Not connected"],
    ["connecting", "Connecting…"],
    ["connected", "Connected"],
    ["reconnecting", "Reconnecting…"],
    ["offline", "Offline"],
    ["failed", "Connection failed"],
  ])("says %s in words", (connectionStatus, words) => {
    setup({ connectionStatus, isConnected: connectionStatus === "connected" });
    expect(screen.getByRole("status").textContent).toBe(words);
  });

  it.each<ConnectionStatus>(["idle", "failed"])("connects when it is %s", async (connectionStatus) => {
    const { user, connect, disconnect } = setup({ connectionStatus });
    await user.click(screen.getByRole("button", { name: "Connect" }));
    expect(connect).toHaveBeenCalledOnce();
    expect(disconnect).not.toHaveBeenCalled();
  });

  it.each<ConnectionStatus>(["connecting", "connected", "reconnecting", "offline"])(
    "disconnects when it is %s",
    async (connectionStatus) => {
      const { user, connect, disconnect } = setup({ connectionStatus });
      await user.click(screen.getByRole("button", { name: "Disconnect" }));
      expect(disconnect).toHaveBeenCalledOnce();
      expect(connect).not.toHaveBeenCalled();
    },
  );

  it("offers nothing where the page may have no socket", () => {
    setup({ isEnabled: false });
    expect(screen.queryByRole("button")).toBeNull();
    expect(screen.getByRole("status").textContent).not.toContain("onnected");
  });

  it("says that a page watches and does not talk", () => {
    setup({ connectionStatus: "connected", isConnected: true, connectionType: "admin" });
    expect(screen.getByRole("status").textContent).toBe("Connected · monitoring");
  });
});
