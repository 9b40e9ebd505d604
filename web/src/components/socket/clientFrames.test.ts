import { describe, expect, it } from "vitest";
import { CLIENT_ACTIONS, checkFrame, template } from "./clientFrames";

const MAX = 65_536;

describe("a frame that a developer writes", () => {
  it.each(CLIENT_ACTIONS)("begins with a template of %s that can be sent as it is", (action) => {
    expect(checkFrame(template(action, 1_800_000_000_000), MAX)).toMatchObject({ action, data: expect.any(Object) });
  });

  it("has a client_msg_id of its own each time", () => {
    expect(template("send_message", 1)).not.toBe(template("send_message", 1));
  });

  it("may have no data, or an action that nobody knows: the server has an answer to it", () => {
    expect(checkFrame('{"action": "dance"}', MAX)).toEqual({ action: "dance", data: {} });
  });

  it.each([
    ["{", "no_json"],
    ["[1]", "no_object"],
    ["null", "no_object"],
    ["{}", "no_action"],
    ['{"action": ""}', "no_action"],
    ['{"action": "ping", "data": []}', "no_data"],
    ['{"action": "ping", "ref": 1}', "has_ref"],
    ['{"action": "ping", "dta": {}}', "unknown_field"],
  ])("%s is refused as %s", (text, problem) => {
    expect(checkFrame(text, MAX)).toMatchObject({ problem });
  });

  it("is refused if it would close the socket, counted in bytes", () => {
    const text = JSON.stringify({ action: "ping", data: { text: "字".repeat(100) } });
    expect(checkFrame(text, 1_000)).toHaveProperty("action");
    expect(checkFrame(text, 500)).toMatchObject({ problem: "too_big", detail: "500" });
  });
});
