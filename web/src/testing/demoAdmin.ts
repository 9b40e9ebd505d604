/** An `AdminApi` without a server, with a small world of its own; for tests and the demo alone. */

import {
  type AdminApi,
  type AdminConnection,
  type AdminStats,
  type Broadcast,
  type BroadcastDraft,
  type ConnectionFilter,
  type ConnectionPage,
  DEVICE_TYPES,
  type DeadChoice,
  type DeadLetter,
  type DeadPage,
  type DisconnectWish,
  HUMAN_ROLES,
  type MessageDelivery,
} from "../service/admin/model";
import { ApiError } from "../service/chat/api";

const NAMES = ["alice", "bob", "carol", "dora", "erin", "frank"] as const;

/** `01890a5d-ac96-774b-bcce-000000000007`. */
export function demoId(number: number): string {
  return `01890a5d-ac96-774b-bcce-${String(number).padStart(12, "0")}`;
}

const ago = (ms: number, now = Date.now()): string => new Date(now - ms).toISOString();

/** Figures of a moment, of a day that is neither quiet nor wild. */
export function demoStats(at: number, changed: Partial<AdminStats> = {}): AdminStats {
  const wave = Math.sin(at / 23_000) + 0.4 * Math.sin(at / 5_100);
  const rate = Math.round(420 + 90 * wave) / 10;
  return {
    at: new Date(at).toISOString(),
    connections: Math.round(1284 + 30 * wave),
    users_online: Math.round(963 + 20 * wave),
    by_edge: { "edge-1": 660, "edge-2": 624 },
    by_device: { mobile: 702, desktop: 498, tablet: 84 },
    by_role: { customer: 1180, consultant: 74, doctor: 27, admin: 3 },
    messages_per_s: rate,
    deliveries_per_s: Math.round(rate * 31) / 10,
    pushes_per_s: Math.round(30 + 12 * wave) / 10,
    delivery_p50_ms: Math.round(11 + 2 * wave),
    delivery_p99_ms: Math.round(64 + 22 * Math.abs(wave)),
    relay_lag_s: 0.006,
    fanout_lag_s: 0.011,
    slow_closes: 2,
    nats_interruptions: 0,
    gaps_healed: 1,
    edges: [demoEdge("edge-1", at, 660, 900), demoEdge("edge-2", at, 624, 6_200)],
    ...changed,
  };
}

function demoEdge(edge_id: string, at: number, connections: number, lag: number) {
  return {
    edge_id,
    instance: demoId(1),
    started_at: ago(93_600_000, at),
    renewed_at: ago(lag, at),
    figures: {
      connections,
      by_device: {},
      by_role: {},
      users: connections - 40,
      frames_in: 184_220,
      frames_out: 902_114,
      receipts: 640_200,
      slow_closes: edge_id === "edge-2" ? 2 : 0,
      nats_interruptions: 0,
    },
  };
}

function demoConnections(): AdminConnection[] {
  return NAMES.flatMap((user_id, index) =>
    DEVICE_TYPES.slice(0, 1 + (index % 3)).map((device_type, device) => ({
      connection_id: demoId(100 + 10 * index + device),
      user_id,
      device_type,
      device_id: null,
      connection_type: "chat" as const,
      connected_at: ago((index + 1) * 540_000 + device * 70_000),
      roles: [HUMAN_ROLES[Math.max(0, index - 2)] ?? "customer"],
      idle: device === 2,
      edge_id: `edge-${1 + (index % 2)}`,
    })),
  );
}

const ERRORS = ["503: the push service is overloaded", "InvalidProviderToken", "connection reset by peer"] as const;

function demoDead(): DeadLetter[] {
  return ERRORS.map((last_error, index) => ({
    id: 7 + index,
    event_id: demoId(300 + index),
    user_id: NAMES[index] ?? "alice",
    reason: "no_connection",
    state: "dead",
    provider: index === 1 ? "apns" : "fcm",
    skip_reason: null,
    attempts: 12 - index,
    last_error,
    received_at: ago(86_400_000 + index * 3_600_000),
    held: false,
    devices: [],
  }));
}

/** A message that one has read, one got on two devices, one got a push for, and one still waits for. */
export function demoDelivery(message_id: string, now = Date.now()): MessageDelivery {
  const received = (device_type: "mobile" | "desktop", ms: number) => ({
    device_type,
    received_at: ago(ms, now),
    edge_id: "edge-1",
  });
  return {
    message_id,
    conversation_id: demoId(42),
    seq: 118,
    notifier: "answered",
    recipients: [
      {
        user_id: "alice",
        state: "read",
        read: true,
        delivered_at: ago(59_900, now),
        devices: [received("desktop", 59_900), received("mobile", 58_100)],
        push: {
          decision: { state: "skipped", attempts: 0, skip_reason: "read", settled_at: ago(57_000, now), devices: [] },
        },
      },
      {
        user_id: "bob",
        state: "handed_over",
        read: false,
        devices: [],
        push: {
          decision: {
            state: "sent",
            provider: "fcm",
            attempts: 2,
            settled_at: ago(50_000, now),
            devices: [
              {
                device_type: "mobile",
                provider: "fcm",
                state: "accepted",
                attempts: 2,
                attempted_at: ago(51_000, now),
                accepted_at: ago(50_500, now),
                acknowledged_at: ago(49_000, now),
              },
              {
                device_type: "tablet",
                provider: "apns",
                state: "failed",
                attempts: 1,
                attempted_at: ago(52_000, now),
                last_error: "BadDeviceToken",
              },
            ],
          },
        },
      },
      { user_id: "carol", state: "waiting", read: false, devices: [] },
    ],
  };
}

export interface DemoAdminOptions {
  readonly empty?: boolean;
  /** Every question fails with this. */
  readonly failure?: ApiError;
}

export class DemoAdmin implements AdminApi {
  /** What was done, in order. */
  readonly done: { readonly what: string; readonly with: unknown; readonly key?: string }[] = [];
  failure: ApiError | undefined;
  #connections: AdminConnection[];
  #dead: DeadLetter[];
  #broadcasts: Broadcast[];

  constructor({ empty = false, failure }: DemoAdminOptions = {}) {
    this.failure = failure;
    this.#connections = empty ? [] : demoConnections();
    this.#dead = empty ? [] : demoDead();
    this.#broadcasts = empty ? [] : [demoBroadcast()];
  }

  async stats(): Promise<AdminStats> {
    this.#check();
    return demoStats(Date.now());
  }

  async connections({ userId, edgeId, deviceType, role }: ConnectionFilter): Promise<ConnectionPage> {
    this.#check();
    const passing = this.#connections.filter(
      (one) =>
        (userId === undefined || one.user_id === userId) &&
        (edgeId === undefined || one.edge_id === edgeId) &&
        (deviceType === undefined || one.device_type === deviceType) &&
        (role === undefined || one.roles?.includes(role)),
    );
    return { count: passing.length, connections: passing };
  }

  async disconnect(wish: DisconnectWish, key: string): Promise<number | undefined> {
    this.#check();
    this.done.push({ what: "disconnect", with: wish, key });
    const before = this.#connections.length;
    this.#connections = this.#connections.filter(
      (one) =>
        one.user_id !== wish.userId || (wish.connectionId !== undefined && one.connection_id !== wish.connectionId),
    );
    return before - this.#connections.length;
  }

  async broadcast(draft: BroadcastDraft, key: string) {
    this.done.push({ what: "broadcast", with: draft, key });
    this.#check();
    const id = demoId(500 + this.#broadcasts.length);
    const { title, content, type, is_important = false, roles } = draft;
    const made = { ...demoBroadcast(), title, content, type, is_important, roles: roles ?? [], broadcast_id: id };
    this.#broadcasts = [{ ...made, sent: 963, created_at: ago(0) }, ...this.#broadcasts];
    return { id, recipients: 963 };
  }

  async broadcasts(): Promise<readonly Broadcast[]> {
    this.#check();
    return this.#broadcasts;
  }

  async delivery(messageId: string): Promise<MessageDelivery> {
    this.#check();
    if (messageId === demoId(404)) throw new ApiError("not_found", "no such message", 404);
    return demoDelivery(messageId);
  }

  async deadLetters({ userId }: { readonly userId?: string | undefined }): Promise<DeadPage> {
    this.#check();
    const pushes = this.#dead.filter((one) => userId === undefined || one.user_id === userId);
    return { pushes, next_after_id: pushes.at(-1)?.id ?? 0 };
  }

  replay(which: DeadChoice): Promise<number> {
    return this.#settle("replay", which);
  }

  drop(which: DeadChoice): Promise<number> {
    return this.#settle("drop", which);
  }

  async #settle(what: string, which: DeadChoice): Promise<number> {
    this.#check();
    this.done.push({ what, with: which });
    const before = this.#dead.length;
    this.#dead = this.#dead.filter(({ id }) => which !== "all" && !which.includes(id));
    return before - this.#dead.length;
  }

  #check(): void {
    if (this.failure !== undefined) throw this.failure;
  }
}

function demoBroadcast(): Broadcast {
  return {
    broadcast_id: demoId(500),
    title: "New opening hours",
    content: "From Monday on we open at eight.",
    type: "announcement",
    is_important: false,
    roles: ["customer"],
    created_by: "admin",
    created_at: ago(7_200_000),
    recipients: 963,
    sent: 963,
    done_at: ago(7_190_000),
  };
}
