// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FakeTokens } from "../../testing/socket";
import { type UploadAnswer, type UploadRequest, Uploads, xhrUpload } from "./uploads";

const FILE = { blob: new Blob(["abc"], { type: "audio/webm" }), name: "note.webm" };
const ATTACHMENT = { id: "a1", name: "note.webm", media_type: "audio/webm", size_bytes: 3, sha256: "" };

describe("an upload", () => {
  let sent: UploadRequest[];
  let answers: (UploadAnswer | Error)[];
  let tokens: FakeTokens;
  let uploads: Uploads;

  beforeEach(() => {
    sent = [];
    answers = [];
    tokens = new FakeTokens();
    const send = async (request: UploadRequest): Promise<UploadAnswer> => {
      sent.push(request);
      const answer = answers.shift() ?? { status: 201, text: JSON.stringify(ATTACHMENT), retryAfter: null };
      if (answer instanceof Error) throw answer;
      return answer;
    };
    uploads = new Uploads({ url: "https://api", tokens, send });
  });

  const upload = (durationMs?: number) =>
    uploads.upload("key-1", { ...FILE, ...(durationMs !== undefined && { durationMs }) }, () => undefined);

  it("sends the file under its name and a key, in the user's name", async () => {
    expect(await upload()).toEqual(ATTACHMENT);
    const [{ url, headers, form } = { url: "", headers: {}, form: new FormData() }] = sent;
    expect(url).toBe("https://api/v1/attachments");
    expect(headers).toEqual({ Authorization: "Bearer token-1", "Idempotency-Key": "key-1" });
    expect((form.get("file") as File).name).toBe("note.webm");
    expect(form.has("duration_ms")).toBe(false);
  });

  it("says how long a voice note is, in whole milliseconds", async () => {
    await upload(1234.6);
    expect(sent[0]?.form.get("duration_ms")).toBe("1235");
  });

  it("is repeated once with a fresh token, under the same key", async () => {
    answers = [{ status: 401, text: "", retryAfter: null }];
    await upload();
    expect(sent.map(({ headers }) => [headers["Authorization"], headers["Idempotency-Key"]])).toEqual([
      ["Bearer token-1", "key-1"],
      ["Bearer token-2", "key-1"],
    ]);
  });

  it("does not go round in circles when the fresh token is refused, too", async () => {
    const refused = { status: 401, text: JSON.stringify({ code: "unauthenticated" }), retryAfter: null };
    answers = [refused, refused];
    await expect(upload()).rejects.toMatchObject({ code: "unauthenticated", status: 401 });
    expect(sent).toHaveLength(2);
  });

  it("fails with the server's code, and with how long to wait", async () => {
    const text = JSON.stringify({ code: "rate_limited", detail: "slowly" });
    answers = [{ status: 429, text, retryAfter: "2" }];
    await expect(upload()).rejects.toMatchObject({ code: "rate_limited", retryAfterMs: 2_000 });
  });

  it("fails with a status when a proxy answers with something that is no JSON", async () => {
    answers = [{ status: 413, text: "<html>too large</html>", retryAfter: null }];
    await expect(upload()).rejects.toMatchObject({ status: 413 });
  });

  it("fails as a matter of the network when there is no answer", async () => {
    answers = [new Error("gone")];
    await expect(upload()).rejects.toMatchObject({ code: "network" });
  });
});

/** As much of a browser's as `xhrUpload` uses. */
class FakeXhr {
  static last: FakeXhr;
  readonly headers: Record<string, string> = {};
  readonly upload: { onprogress?: (event: { lengthComputable: boolean; loaded: number; total: number }) => void } = {};
  readonly status = 201;
  readonly responseText = "{}";
  opened: readonly string[] = [];
  sent: unknown;
  timeout = 0;
  onload?: () => void;
  onerror?: () => void;
  ontimeout?: () => void;
  onabort?: () => void;

  constructor() {
    FakeXhr.last = this;
  }

  open(...how: string[]): void {
    this.opened = how;
  }

  setRequestHeader(name: string, value: string): void {
    this.headers[name] = value;
  }

  getResponseHeader(name: string): string | null {
    return name === "Retry-After" ? "7" : null;
  }

  send(body: unknown): void {
    this.sent = body;
  }
}

describe("the browser's way to send it", () => {
  beforeEach(() => void vi.stubGlobal("XMLHttpRequest", FakeXhr));
  afterEach(() => vi.unstubAllGlobals());

  const start = (onProgress: (part: number) => void = () => undefined) => {
    const form = new FormData();
    return { form, answer: xhrUpload({ url: "/v1/attachments", headers: { A: "b" }, form, onProgress }) };
  };

  it("posts the form with its headers, and gives the answer as it is", async () => {
    const { form, answer } = start();
    const { opened, headers, sent, timeout } = FakeXhr.last;
    expect([opened, headers, sent]).toEqual([["POST", "/v1/attachments"], { A: "b" }, form]);
    expect(timeout).toBeGreaterThan(0);
    FakeXhr.last.onload?.();
    expect(await answer).toEqual({ status: 201, text: "{}", retryAfter: "7" });
  });

  it("tells how far it is, where that is known", () => {
    const parts: number[] = [];
    start((part) => parts.push(part));
    const progress = FakeXhr.last.upload.onprogress;
    progress?.({ lengthComputable: true, loaded: 1, total: 4 });
    progress?.({ lengthComputable: false, loaded: 2, total: 0 });
    progress?.({ lengthComputable: true, loaded: 0, total: 0 });
    expect(parts).toEqual([0.25]);
  });

  it.each(["onerror", "ontimeout", "onabort"] as const)("rejects on %s", async (event) => {
    const { answer } = start();
    FakeXhr.last[event]?.();
    await expect(answer).rejects.toThrow("no answer");
  });
});
