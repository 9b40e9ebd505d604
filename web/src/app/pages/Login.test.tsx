// @vitest-environment jsdom
import { screen } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";
import { renderChat } from "../../testing/render";
import { LoginPage } from "./Login";

const DEMO = [{ userId: "alice", password: "natter-demo", name: "Alice", role: "customer" }] as const;

describe("the login page", () => {
  it("signs in with what was typed, by Enter", async () => {
    const signIn = vi.fn(async () => undefined);
    const { user } = renderChat(<LoginPage onSignIn={signIn} />);
    await user.type(screen.getByLabelText("User"), " alice ");
    await user.type(screen.getByLabelText("Password"), "secret{Enter}");
    expect(signIn).toHaveBeenCalledExactlyOnceWith("alice", "secret");
  });

  it("asks for what is missing instead of asking the server", async () => {
    const signIn = vi.fn(async () => undefined);
    const { user } = renderChat(<LoginPage onSignIn={signIn} />);
    await user.click(screen.getByRole("button", { name: "Sign in" }));
    expect(screen.getAllByText("Please fill this in.")).toHaveLength(2);
    expect(signIn).not.toHaveBeenCalled();
  });

  it.each([
    ["wrong_credentials", "User and password do not fit together."],
    ["rate_limited", "Too many attempts. Please wait a moment."],
    ["network", "The server cannot be reached. Please try again."],
  ])("says what %s means", async (code, text) => {
    const { user } = renderChat(
      <LoginPage onSignIn={() => Promise.reject(Object.assign(new Error("no"), { code }))} />,
    );
    await user.type(screen.getByLabelText("User"), "alice");
    await user.type(screen.getByLabelText("Password"), "x{Enter}");
    expect((await screen.findByRole("alert")).textContent).toBe(text);
  });

  it("has demo accounts one click away only if it was given some", async () => {
    const signIn = vi.fn(async () => undefined);
    const { unmount } = renderChat(<LoginPage onSignIn={signIn} />);
    expect(screen.queryByText("Alice")).toBeNull();
    unmount();
    const { user } = renderChat(<LoginPage onSignIn={signIn} demoAccounts={DEMO} />);
    await user.click(screen.getByRole("button", { name: /Alice/ }));
    expect(signIn).toHaveBeenCalledExactlyOnceWith("alice", "natter-demo");
  });
});
