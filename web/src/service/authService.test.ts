import { beforeEach, describe, expect, it, vi } from "vitest";
import { AuthService } from "./authService";
import { SignedOut } from "./websocket/core/errors";

let kept: Map<string, string>;
let now: number;
let answers: ((url: string, body: Record<string, unknown>) => Response | Promise<Response>)[];
let calls: { url: string; body: Record<string, unknown>; token: string | null }[];

const storage = {
  getItem: (key: string) => kept.get(key) ?? null,
  setItem: (key: string, value: string) => void kept.set(key, value),
  removeItem: (key: string) => void kept.delete(key),
};

function jwt(name: string): string {
  return `${name}.${btoa(JSON.stringify({ iat: now / 1000, exp: now / 1000 + 900 })).replaceAll("=", "")}.s`;
}

function json(body: unknown, status = 200): Response {
  return new Response(JSON.stringify(body), { status });
}

const pair = (n: number) =>
  json({
    access_token: jwt(`a${n}`),
    token_type: "bearer",
    expires_in: 900,
    refresh_token: `r${n}`,
    refresh_expires_in: 9,
  });
const me = () => json({ user_id: "anna", name: "Anna", roles: ["customer", "of_the_future"] });

function service(exclusive?: <T>(name: string, work: () => Promise<T>) => Promise<T>): AuthService {
  return new AuthService({
    apiUrl: "https://api",
    storage,
    wall: () => now,
    ...(exclusive !== undefined && { exclusive }),
    fetch: async (url, init) => {
      const body = init.body === undefined ? {} : JSON.parse(String(init.body));
      calls.push({ url, body, token: new Headers(init.headers).get("Authorization") });
      const answer = answers.shift();
      if (answer === undefined) throw new TypeError("network");
      return answer(url, body);
    },
  });
}

beforeEach(() => {
  kept = new Map();
  now = 1_800_000_000_000;
  answers = [];
  calls = [];
});

async function signedIn(): Promise<AuthService> {
  const auth = service();
  answers = [() => pair(1), me];
  await auth.login("anna", "secret");
  calls = [];
  return auth;
}

describe("signing in", () => {
  it("knows who it is, and keeps neither password nor access token", async () => {
    const auth = await signedIn();
    expect(auth.me).toEqual({ userId: "anna", name: "Anna", roles: ["customer"] });
    expect([...kept.values()].join()).not.toMatch(/secret|a1/);
    expect([...kept.values()].join()).toContain("r1");
  });

  it("says why it came to nothing, and changes nothing", async () => {
    const auth = await signedIn();
    answers = [() => json({ code: "wrong_credentials", detail: "no" }, 401)];
    await expect(auth.login("ben", "x")).rejects.toMatchObject({ code: "wrong_credentials" });
    expect(auth.me?.userId).toBe("anna");
    await expect(auth.login("ben", "x")).rejects.toMatchObject({ code: "network" });
  });

  it("survives a reload", async () => {
    await signedIn();
    const again = service();
    expect(again.me?.userId).toBe("anna");
    answers = [() => pair(2)];
    expect(await again.current()).toBe(jwt("a2"));
    expect(calls).toMatchObject([{ body: { refresh_token: "r1" } }]);
  });
});

describe("a token", () => {
  it("is asked for once, however many need it", async () => {
    const auth = await signedIn();
    now += 800_000;
    answers = [() => pair(2)];
    const tokens = await Promise.all([auth.current(), auth.current(), auth.current()]);
    expect(new Set(tokens).size).toBe(1);
    expect(calls).toHaveLength(1);
  });

  it("is replaced when the server refused it, once for all who had it refused", async () => {
    const auth = await signedIn();
    const old = await auth.current();
    answers = [() => pair(2)];
    auth.refused(old);
    const fresh = await auth.current();
    auth.refused(old);
    expect(await auth.current()).toBe(fresh);
    expect(calls).toHaveLength(1);
  });

  it("uses each refresh token once, also when another tab rotates it meanwhile", async () => {
    const auth = await signedIn();
    now += 800_000;
    const other = async <T>(_: string, work: () => Promise<T>): Promise<T> => {
      kept.set("natter.session", JSON.stringify({ refreshToken: "r9", me: auth.me }));
      return work();
    };
    const tab = service(other);
    answers = [() => pair(10)];
    await tab.current();
    expect(calls).toMatchObject([{ body: { refresh_token: "r9" } }]);
  });

  it("is no more when the session is over, and everybody is told", async () => {
    const auth = await signedIn();
    const told = vi.fn();
    auth.subscribe(told);
    now += 800_000;
    answers = [() => json({ code: "token_revoked" }, 401)];
    await expect(auth.current()).rejects.toBeInstanceOf(SignedOut);
    expect(auth.me).toBeUndefined();
    expect(told).toHaveBeenCalledOnce();
  });

  it("is missing only for the moment when the server is away: nobody is signed out", async () => {
    const auth = await signedIn();
    now += 800_000;
    answers = [() => json({}, 503)];
    await expect(auth.current()).rejects.not.toBeInstanceOf(SignedOut);
    await expect(auth.current()).rejects.not.toBeInstanceOf(SignedOut);
    expect(auth.me?.userId).toBe("anna");
  });
});

describe("signing out", () => {
  it("ends the session on the server and here", async () => {
    const auth = await signedIn();
    answers = [() => new Response(null, { status: 204 })];
    await auth.logout();
    expect(calls).toMatchObject([{ url: "https://api/v1/auth/logout", token: `Bearer ${jwt("a1")}` }]);
    expect(kept.size).toBe(0);
    await expect(auth.current()).rejects.toBeInstanceOf(SignedOut);
  });

  it("works without the server", async () => {
    const auth = await signedIn();
    await auth.logout();
    expect(auth.me).toBeUndefined();
  });

  it("in another tab is noticed here", async () => {
    const auth = await signedIn();
    kept.clear();
    auth.storageChanged();
    expect(auth.me).toBeUndefined();
    await expect(auth.current()).rejects.toBeInstanceOf(SignedOut);
  });
});
