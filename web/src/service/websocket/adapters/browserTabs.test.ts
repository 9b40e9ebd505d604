import { afterEach, describe, expect, it, vi } from "vitest";
import { browserTabs } from "./browserTabs";

afterEach(() => vi.unstubAllGlobals());

/** One after the other by name, as a browser does it. */
function locks() {
  const request = vi.fn(async (_name: string, _options: { signal: AbortSignal }, work: () => Promise<void>) => work());
  return { request };
}

describe("tabs of a browser", () => {
  it("share nothing where there are no locks, or no channels", () => {
    vi.stubGlobal("navigator", {});
    expect(browserTabs()).toBeUndefined();
    vi.stubGlobal("navigator", { locks: locks() });
    vi.stubGlobal("BroadcastChannel", undefined);
    expect(browserTabs()).toBeUndefined();
  });

  it("wait for the lock of that name, until the signal ends the wait", async () => {
    const own = locks();
    vi.stubGlobal("navigator", { locks: own });
    const work = vi.fn(async () => undefined);
    const { signal } = new AbortController();
    await browserTabs()?.exclusive("natter", signal, work);
    expect(own.request).toHaveBeenCalledExactlyOnceWith("natter", { signal }, work);
    expect(work).toHaveBeenCalledOnce();
  });

  it("hear one another, not themselves, and nothing once they are done", async () => {
    vi.stubGlobal("navigator", { locks: locks() });
    const [one, other] = [browserTabs()?.channel("natter"), browserTabs()?.channel("natter")];
    if (one === undefined || other === undefined) throw new Error("there are channels here");
    const [mine, theirs]: [unknown[], unknown[]] = [[], []];
    one.subscribe((message) => mine.push(message));
    const cancel = other.subscribe((message) => theirs.push(message));
    one.post({ kind: "hello" });
    await expect.poll(() => theirs).toEqual([{ kind: "hello" }]);
    cancel();
    one.post({ kind: "again" });
    other.post({ kind: "done" });
    await expect.poll(() => mine).toEqual([{ kind: "done" }]);
    expect(theirs).toEqual([{ kind: "hello" }]);
    one.close();
    other.close();
  });
});
