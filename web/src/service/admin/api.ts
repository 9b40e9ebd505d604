/** The admin's questions and acts over HTTP: `/v1/admin/*`, and the delivery ledger of a message. */

import type { Api } from "../chat/api";
import {
  type AdminApi,
  type AdminStats,
  type Broadcast,
  type BroadcastDraft,
  type ConnectionFilter,
  type ConnectionPage,
  DEAD_PER_PAGE,
  type DeadChoice,
  type DeadPage,
  type DisconnectWish,
  type MessageDelivery,
} from "./model";

const CONNECTIONS_PER_PAGE = 50;
const BROADCASTS_SHOWN = 10;

export class HttpAdminApi implements AdminApi {
  readonly #api: Pick<Api, "call">;

  constructor(api: Pick<Api, "call">) {
    this.#api = api;
  }

  stats(): Promise<AdminStats> {
    return this.#api.call((client) => client.GET("/v1/admin/stats"));
  }

  connections(filter: ConnectionFilter, cursor?: string): Promise<ConnectionPage> {
    const query = {
      limit: CONNECTIONS_PER_PAGE,
      ...(filter.userId && { user_id: filter.userId }),
      ...(filter.edgeId && { edge_id: filter.edgeId }),
      ...(filter.deviceType && { device_type: filter.deviceType }),
      ...(filter.role && { role: filter.role }),
      ...(cursor && { cursor }),
    };
    return this.#api.call((client) => client.GET("/v1/admin/connections", { params: { query } }));
  }

  async disconnect({ userId, connectionId }: DisconnectWish, key: string): Promise<number | undefined> {
    const { connections } = await this.#api.call((client) =>
      client.POST("/v1/admin/users/{user_id}/disconnect", {
        params: { path: { user_id: userId }, header: { "Idempotency-Key": key } },
        body: connectionId === undefined ? {} : { connection_id: connectionId },
      }),
    );
    return connections ?? undefined;
  }

  async broadcast(draft: BroadcastDraft, key: string) {
    const accepted = await this.#api.call((client) =>
      client.POST("/v1/admin/broadcasts", { params: { header: { "Idempotency-Key": key } }, body: draft }),
    );
    return { id: accepted.broadcast_id, recipients: accepted.recipients };
  }

  async broadcasts(): Promise<readonly Broadcast[]> {
    const query = { limit: BROADCASTS_SHOWN };
    return (await this.#api.call((client) => client.GET("/v1/admin/broadcasts", { params: { query } }))).broadcasts;
  }

  delivery(messageId: string, after?: string): Promise<MessageDelivery> {
    const params = { path: { message_id: messageId }, query: after === undefined ? {} : { after } };
    return this.#api.call((client) => client.GET("/v1/messages/{message_id}/delivery", { params }));
  }

  deadLetters({ userId }: { readonly userId?: string | undefined }, afterId = 0): Promise<DeadPage> {
    const query = { limit: DEAD_PER_PAGE, after_id: afterId, ...(userId && { user_id: userId }) };
    return this.#api.call((client) => client.GET("/v1/admin/pushes/dead", { params: { query } }));
  }

  async replay(which: DeadChoice): Promise<number> {
    const body = chosen(which);
    return (await this.#api.call((client) => client.POST("/v1/admin/pushes/dead/replay", { body }))).count;
  }

  async drop(which: DeadChoice): Promise<number> {
    const body = chosen(which);
    return (await this.#api.call((client) => client.POST("/v1/admin/pushes/dead/drop", { body }))).count;
  }
}

function chosen(which: DeadChoice): { ids: number[]; all: false } | { all: true } {
  return which === "all" ? { all: true } : { ids: [...which], all: false };
}
