/** The real stack under the browser's tests: one for all that break nothing, and what may be done to its parts. */

import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PYTHON = process.env["NATTER_PYTHON"] ?? `${ROOT}/.venv/bin/python`;
const START_TIMEOUT_MS = 120_000;
const ANSWER_TIMEOUT_MS = 60_000;

export interface Where {
  readonly url: string;
  readonly edges: readonly string[];
  readonly password: string;
  readonly logs: string;
}

type Verb = "kill" | "start" | "terminate" | "suspend" | "resume" | "ensure";

export class Natter {
  readonly where: Where;
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  /** One question at a time: answers come in the order of the questions. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(where: Where, process: ChildProcessWithoutNullStreams, lines: AsyncIterator<string>) {
    this.where = where;
    this.#process = process;
    this.#lines = lines;
  }

  /** Start everything; rejects with the stack's own words if it does not come up. */
  static async start(edges = 2): Promise<Natter> {
    const child = spawn(PYTHON, ["web/e2e/backend.py", "--web", "web/dist", "--edges", String(edges)], { cwd: ROOT });
    const said: string[] = [];
    child.stderr.on("data", (data: Buffer) => said.push(data.toString()));
    const reader: Interface = createInterface({ input: child.stdout });
    const lines = reader[Symbol.asyncIterator]();
    const first = await within(START_TIMEOUT_MS, lines.next(), "the stack did not start");
    if (first.done) {
      throw new Error(`the stack ended before it was ready:\n${said.join("")}`);
    }
    return new Natter(JSON.parse(first.value) as Where, child, lines);
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once("exit", resolve));
    this.#process.stdin.end();
    await within(ANSWER_TIMEOUT_MS, ended, "the stack did not stop");
  }

  async part(verb: Verb, part: string): Promise<void> {
    await this.#ask({ do: verb, part });
  }

  async log(part: string, lines = 200): Promise<string> {
    const answer = await this.#ask({ do: "log", part, lines });
    return (answer["lines"] as string[]).join("\n");
  }

  async token(userId: string, roles: readonly string[]): Promise<string> {
    const answer = await this.#ask({ do: "token", user_id: userId, roles });
    return answer["token"] as string;
  }

  /** Call chat-api as somebody with these roles. */
  async call(roles: readonly string[], method: string, path: string, body?: unknown, userId = "e2e"): Promise<unknown> {
    const answer = await fetch(this.where.url + path, {
      method,
      headers: { authorization: `Bearer ${await this.token(userId, roles)}`, "content-type": "application/json" },
      body: body === undefined ? null : JSON.stringify(body),
    });
    if (!answer.ok) {
      throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    }
    return answer.status === 204 ? undefined : answer.json();
  }

  async #ask(question: Record<string, unknown>): Promise<Record<string, unknown>> {
    const asked = this.#last.then(async () => {
      this.#process.stdin.write(`${JSON.stringify(question)}\n`);
      const answer = await within(ANSWER_TIMEOUT_MS, this.#lines.next(), `no answer to ${JSON.stringify(question)}`);
      if (answer.done) {
        throw new Error("the stack has ended");
      }
      return JSON.parse(answer.value) as Record<string, unknown>;
    });
    this.#last = asked.catch(() => undefined);
    const answer = await asked;
    if (typeof answer["error"] === "string") {
      throw new Error(answer["error"]);
    }
    return answer;
  }
}

async function within<T>(ms: number, promise: Promise<T>, otherwise: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${otherwise} within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
