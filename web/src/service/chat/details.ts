/** Who takes part in a conversation and how far each has come: not part of a sync, so read beside it, a few at a time. */

import type { Clock } from "../websocket/types";
import { type Api, ApiError } from "./api";
import { type ConversationRecord, conversationOf, type Records } from "./records";
import { applyConversation, applyCursor } from "./reduce";

const PARALLEL_MAX = 3;
/** Of a list that is longer, the rest is read when it is opened. */
export const LIST_MAX = 30;
const RETRY_MS = 5_000;

export class Details {
  readonly #api: Api;
  readonly #records: Records;
  readonly #clock: Clock;
  readonly #changed: () => void;
  readonly #waiting: string[] = [];
  #running = 0;
  #stopped = false;

  constructor(api: Api, records: Records, clock: Clock, changed: () => void) {
    this.#api = api;
    this.#records = records;
    this.#clock = clock;
    this.#changed = changed;
  }

  /** Reads it soon, unless it was read since the last connection; `first`: before all others. */
  want(conversation: ConversationRecord, first = false): void {
    if (conversation.detailed || this.#stopped || !conversation.member) return;
    conversation.detailed = true;
    if (first) this.#waiting.unshift(conversation.id);
    else this.#waiting.push(conversation.id);
    this.#next();
  }

  stop(): void {
    this.#stopped = true;
    this.#waiting.length = 0;
  }

  #next(): void {
    while (this.#running < PARALLEL_MAX) {
      const id = this.#waiting.shift();
      if (id === undefined) return;
      this.#running += 1;
      void this.#read(id).finally(() => {
        this.#running -= 1;
        this.#next();
      });
    }
  }

  async #read(id: string): Promise<void> {
    const params = { path: { conversation_id: id } };
    try {
      const told = await this.#api.call((client) => client.GET("/v1/conversations/{conversation_id}", { params }));
      if (this.#stopped) return;
      const conversation = applyConversation(this.#records, told);
      this.#changed();
      // The list needs people and names; how far each of them has come is seen where the messages are.
      if (conversation.opened === 0) return;
      const cursors = "/v1/conversations/{conversation_id}/cursors";
      const page = await this.#api.call((client) => client.GET(cursors, { params }));
      for (const one of page.cursors) applyCursor(this.#records, id, one.user_id, one.read_seq, one.delivered_seq);
      this.#changed();
    } catch (error) {
      const refused = error instanceof ApiError && (error.status === 404 || error.status === 403);
      if (refused || this.#stopped) return;
      const wait = RETRY_MS + (error instanceof ApiError ? error.retryAfterMs : 0);
      this.#clock.after(wait * (1 + this.#clock.random()), () => {
        const conversation = conversationOf(this.#records, id);
        conversation.detailed = false;
        this.want(conversation);
      });
    }
  }
}
