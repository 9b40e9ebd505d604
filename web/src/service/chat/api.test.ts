import { beforeEach, expect, it } from "vitest";
import { FakeTokens } from "../../testing/socket";
import { Api, apiError, mayRetry, retryAfterMs } from "./api";

let tokens: FakeTokens;
let answers: (Response | Error)[];
let asked: { url: string; token: string | null; body: string }[];
let api: Api;

beforeEach(() => {
  tokens = new FakeTokens();
  answers = [];
  asked = [];
  api = new Api({
    url: "https://api/",
    tokens,
    fetch: async (request) => {
      asked.push({ url: request.url, token: request.headers.get("Authorization"), body: await request.text() });
      const answer = answers.shift() ?? new Response("{}", { status: 200 });
      if (answer instanceof Error) throw answer;
      return answer;
    },
  });
});

const problem = (status: number, code: string, headers = {}) =>
  new Response(JSON.stringify({ type: `urn:natter:error:${code}`, code, detail: "why", title: "", status }), {
    status,
    headers: { "Content-Type": "application/problem+json", ...headers },
  });
const me = () => api.call((client) => client.GET("/v1/users/me"));

it("asks in the user's name and answers with the body", async () => {
  answers = [new Response(JSON.stringify({ user_id: "anna", roles: [] }), { status: 200 })];
  expect(await me()).toEqual({ user_id: "anna", roles: [] });
  expect(asked).toEqual([{ url: "https://api/v1/users/me", token: "Bearer token-1", body: "" }]);
});

it("turns a problem into an error with its code and how long to wait", async () => {
  answers = [problem(429, "rate_limited", { "Retry-After": "3" })];
  await expect(me()).rejects.toMatchObject({ code: "rate_limited", status: 429, retryAfterMs: 3_000, message: "why" });
});

it("repeats a request once with a fresh token, with its body", async () => {
  answers = [problem(401, "token_expired")];
  const body = { title: "Hello" };
  await api.call((client) => client.POST("/v1/conversations", { body }));
  expect(asked.map(({ token }) => token)).toEqual(["Bearer token-1", "Bearer token-2"]);
  expect(asked[1]?.body).toBe(JSON.stringify(body));
});

it("asks for one fresh token, however many were refused", async () => {
  answers = [problem(401, "token_expired"), problem(401, "token_expired"), problem(401, "token_expired")];
  await Promise.all([me(), me(), me()]);
  expect(tokens.number).toBe(2);
});

it("does not go round in circles when the fresh one is refused, too", async () => {
  answers = [problem(401, "unauthenticated"), problem(401, "unauthenticated")];
  await expect(me()).rejects.toMatchObject({ code: "unauthenticated" });
  expect(asked).toHaveLength(2);
});

it("says so when there is no answer", async () => {
  answers = [new TypeError("failed to fetch")];
  await expect(me()).rejects.toMatchObject({ code: "network", status: 0 });
});

it("tells what may succeed later from what never will", () => {
  expect(mayRetry(apiError(503, { code: "unavailable" }, null))).toBe(true);
  expect(mayRetry(apiError(502, "<html>", null))).toBe(true);
  expect(mayRetry(apiError(404, { code: "not_found" }, null))).toBe(false);
  expect(mayRetry(apiError(413, "<html>", null))).toBe(false);
});

it("takes no mistake for a Retry-After", () => {
  expect([null, "2", "-1", "soon", "999999"].map((value) => retryAfterMs(value))).toEqual([0, 2_000, 0, 0, 300_000]);
});
