/** The consult queue, and the steps that staff and customers can take. */

import type { Api, Schemas } from "./api";
import type { ChatStore } from "./model";
import { type Records, touch } from "./records";
import { applyConversation } from "./reduce";

type Consult = Schemas["ConsultOut"];

export interface ConsultHooks {
  changed(): void;
  /** The user takes part in it from now on, as the server's answer says. */
  joined(conversationId: string): void;
  /** A name for a request that is made once, however often it is repeated. */
  newKey(): string;
}

export class Consults {
  readonly #api: Api;
  readonly #records: Records;
  readonly #hooks: ConsultHooks;
  #turn = 0;

  constructor(api: Api, records: Records, hooks: ConsultHooks) {
    this.#api = api;
    this.#records = records;
    this.#hooks = hooks;
  }

  get #staff(): boolean {
    return this.#records.me.roles.some((role) => role === "consultant" || role === "doctor");
  }

  /** Reads the queue anew; of answers that overtake one another the last asked for counts. */
  async refresh(): Promise<void> {
    if (!this.#staff) return;
    this.#turn += 1;
    const turn = this.#turn;
    const list = (query: { state: Schemas["State"]; assignee?: string }) =>
      this.#api.call((client) => client.GET("/v1/consults", { params: { query: { ...query, limit: 100 } } }));
    const [waiting, mine] = await Promise.all([list({ state: "waiting" }), list({ state: "active", assignee: "me" })]);
    if (turn !== this.#turn) return;
    this.#records.consults.clear();
    for (const consult of [...waiting.consults, ...mine.consults]) this.#take(consult);
    this.#hooks.changed();
  }

  /** A live word of a step that somebody took. */
  heard(update: Readonly<Record<string, unknown>>): void {
    const { conversation_id: id, state } = update;
    if (!this.#staff || typeof id !== "string") return;
    const known = this.#records.consults.get(id);
    if (state === "waiting" || known !== undefined || update.assignee_id === this.#records.me.userId) {
      void this.refresh().catch(() => undefined);
    }
  }

  readonly actions: ChatStore["consult"] = {
    open: async (subject) => {
      const headers = { "Idempotency-Key": this.#hooks.newKey() };
      const body = { topic: subject };
      const opened = await this.#api.call((client) =>
        client.POST("/v1/consults", { params: { header: headers }, body }),
      );
      applyConversation(this.#records, opened.conversation).consult = opened.consult;
      this.#hooks.joined(opened.conversation.id);
      return opened.conversation.id;
    },
    take: async (id) => {
      const path = { params: { path: { conversation_id: id } } };
      this.#took(
        await this.#api.call((client) => client.POST("/v1/conversations/{conversation_id}/consult/take", path)),
      );
      this.#hooks.joined(id);
    },
    handOver: async (id, userId) => {
      const path = { params: { path: { conversation_id: id } }, body: { user_id: userId === "" ? null : userId } };
      this.#took(
        await this.#api.call((client) => client.POST("/v1/conversations/{conversation_id}/consult/hand-over", path)),
      );
    },
    close: async (id) => {
      const path = { params: { path: { conversation_id: id } } };
      this.#took(
        await this.#api.call((client) => client.POST("/v1/conversations/{conversation_id}/consult/close", path)),
      );
    },
  };

  #took(consult: Consult): void {
    const mine = consult.assignee_id === this.#records.me.userId;
    if (this.#staff && (consult.state === "waiting" || (consult.state === "active" && mine))) this.#take(consult);
    else this.#records.consults.delete(consult.conversation_id);
    const conversation = this.#records.conversations.get(consult.conversation_id);
    if (conversation !== undefined) conversation.consult = consult;
    touch(this.#records, consult.conversation_id);
    this.#hooks.changed();
  }

  #take(consult: Consult): void {
    this.#records.consults.set(consult.conversation_id, consult);
    if (consult.customer_name) this.#records.names.set(consult.customer_id, consult.customer_name);
    const conversation = this.#records.conversations.get(consult.conversation_id);
    if (conversation !== undefined) conversation.consult = consult;
    touch(this.#records, consult.conversation_id);
  }
}
