/** Pages of a conversation's history: the newest when it is opened, older ones on demand. */

import type { Message } from "../generated/contracts";
import type { Api, Schemas } from "./api";
import { type ConversationRecord, type Records, touch } from "./records";
import { takeMessage } from "./reduce";

const PAGE = 50;
/** Messages that a conversation keeps which nobody looks at; the rest is read again. */
const KEPT_CLOSED = 100;

type Page = Schemas["MessagePage"];

export class History {
  readonly #api: Api;
  readonly #records: Records;
  readonly #changed: () => void;

  constructor(api: Api, records: Records, changed: () => void) {
    this.#api = api;
    this.#records = records;
    this.#changed = changed;
  }

  /** Reads the newest page, unless it is there. Whatever arrives meanwhile is kept beside it. */
  async load(conversation: ConversationRecord): Promise<void> {
    if (conversation.loaded || conversation.loading) return;
    conversation.loading = true;
    try {
      this.#take(conversation, await this.#page(conversation.id));
      conversation.loaded = true;
    } finally {
      conversation.loading = false;
      touch(this.#records, conversation.id);
      this.#changed();
    }
  }

  async older(conversation: ConversationRecord): Promise<void> {
    if (conversation.loadingOlder || !conversation.hasOlder) return;
    conversation.loadingOlder = true;
    touch(this.#records, conversation.id);
    this.#changed();
    try {
      const first = Math.min(...[...conversation.messages.values()].map((message) => message.seq));
      this.#take(conversation, await this.#page(conversation.id, first));
    } finally {
      conversation.loadingOlder = false;
      touch(this.#records, conversation.id);
      this.#changed();
    }
  }

  /** Nobody looks at it any more. */
  trim(conversation: ConversationRecord): void {
    if (conversation.messages.size <= KEPT_CLOSED || conversation.loadingOlder) return;
    const bySeq = [...conversation.messages.values()].sort((a, b) => b.seq - a.seq);
    for (const message of bySeq.slice(KEPT_CLOSED)) conversation.messages.delete(message.id);
    conversation.hasOlder = true;
    touch(this.#records, conversation.id);
  }

  /** What is known ends before a hole: it is read again from the end. */
  forget(conversation: ConversationRecord): void {
    conversation.messages.clear();
    conversation.loaded = false;
    touch(this.#records, conversation.id);
  }

  #take(conversation: ConversationRecord, page: Page): void {
    conversation.hasOlder = page.messages.length === PAGE;
    // The generated types of the two sources differ in their optional fields alone.
    for (const message of page.messages as Message[]) takeMessage(this.#records, conversation, message);
  }

  #page(id: string, before?: number): Promise<Page> {
    const query = before === undefined ? { limit: PAGE } : { limit: PAGE, before_seq: before };
    const params = { path: { conversation_id: id }, query };
    return this.#api.call((client) => client.GET("/v1/conversations/{conversation_id}/messages", { params }));
  }
}
