import { beforeEach, expect, it } from "vitest";
import { ManualClock } from "../../../testing/socket";
import { RequestError } from "./errors";
import { dueIn, TokenRefresh } from "./tokenRefresh";

let clock: ManualClock;
let current: string;
let refused: string[];
let asked: unknown[];
let answer: () => Promise<unknown>;
let refresh: TokenRefresh;

function jwt(claims: Record<string, unknown>): string {
  return `h.${btoa(JSON.stringify(claims)).replaceAll("=", "")}.s`;
}

function lasting(seconds: number): string {
  const iat = clock.wall() / 1000;
  return jwt({ iat, exp: iat + seconds });
}

beforeEach(() => {
  clock = new ManualClock();
  refused = [];
  asked = [];
  answer = async () => ({});
  const tokens = { current: async () => current, refused: (token: string) => void refused.push(token) };
  refresh = new TokenRefresh(clock, tokens, (action, data) => {
    asked.push([action, data]);
    return answer();
  });
});

it("passes a new token to the socket when 80 % of the old one's life is over", async () => {
  refresh.start(lasting(900));
  await clock.pass(719_000);
  expect(asked).toEqual([]);
  current = lasting(900);
  await clock.pass(1_000);
  expect(asked).toEqual([["refresh_token", { token: current }]]);
});

it("leaves the socket in peace when the new one is refused, and asks for another one", async () => {
  current = lasting(900);
  refresh.start(lasting(100));
  answer = () => Promise.reject(new RequestError("token_revoked", ""));
  await clock.pass(80_000);
  expect(refused).toEqual([current]);
  answer = async () => ({});
  await clock.pass(10_000);
  expect(asked).toHaveLength(2);
});

it("stops with the socket", async () => {
  refresh.start(lasting(100));
  refresh.stop();
  expect(clock.timers).toBe(0);
});

it("makes no loop when the device's clock is wrong", () => {
  const token = jwt({ iat: 1_000, exp: 1_900 });
  expect(dueIn(token, 5_000_000)).toBe(10_000);
  expect(dueIn(token, 0)).toBe(720_000);
  expect(dueIn("no token", 0)).toBe(86_400_000);
});
