/** Sends a file up, and tells how far it is. */

import type { TokenSource } from "../websocket/types";
import { ApiError, apiError, type Schemas } from "./api";
import type { OutboxFile } from "./outboxStorage";

export interface UploadRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly form: FormData;
  readonly onProgress: (part: number) => void;
}

export interface UploadAnswer {
  readonly status: number;
  readonly text: string;
  readonly retryAfter: string | null;
}

/** What sends it; rejects if there is no answer. A test has its own, the browser `xhrUpload`. */
export type UploadTransport = (request: UploadRequest) => Promise<UploadAnswer>;

export interface UploadsDeps {
  readonly url: string;
  readonly tokens: TokenSource;
  readonly send: UploadTransport;
}

export class Uploads {
  readonly #deps: UploadsDeps;

  constructor(deps: UploadsDeps) {
    this.#deps = deps;
  }

  /** The attachment that it became. A repeat under the same key is the same attachment; rejects with `ApiError`. */
  async upload(key: string, file: OutboxFile, onProgress: (part: number) => void): Promise<Schemas["Attachment"]> {
    const { tokens } = this.#deps;
    const token = await tokens.current();
    let answer = await this.#once(key, file, token, onProgress);
    if (answer.status === 401) {
      tokens.refused(token);
      answer = await this.#once(key, file, await tokens.current(), onProgress);
    }
    const body = parsed(answer.text);
    if (answer.status < 200 || answer.status > 299) throw apiError(answer.status, body, answer.retryAfter);
    return body as Schemas["Attachment"];
  }

  async #once(key: string, file: OutboxFile, token: string, onProgress: (part: number) => void): Promise<UploadAnswer> {
    const form = new FormData();
    form.append("file", file.blob, file.name);
    if (file.durationMs !== undefined) form.append("duration_ms", String(Math.round(file.durationMs)));
    const headers = { Authorization: `Bearer ${token}`, "Idempotency-Key": key };
    try {
      return await this.#deps.send({ url: `${this.#deps.url}/v1/attachments`, headers, form, onProgress });
    } catch {
      throw new ApiError("network", "the file did not get through");
    }
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const TIMEOUT_MS = 300_000;

/** XMLHttpRequest, because fetch does not tell how far a request's body is. */
export const xhrUpload: UploadTransport = ({ url, headers, form, onProgress }) =>
  new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", url);
    request.timeout = TIMEOUT_MS;
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => {
      if (event.lengthComputable && event.total > 0) onProgress(event.loaded / event.total);
    };
    request.onload = () =>
      resolve({
        status: request.status,
        text: request.responseText,
        retryAfter: request.getResponseHeader("Retry-After"),
      });
    const failed = () => reject(new Error("no answer"));
    request.onerror = failed;
    request.ontimeout = failed;
    request.onabort = failed;
    request.send(form);
  });
