/** What the admin page works with: the shapes of chat-api's answers under short names, and the interface to ask for them. */

import type { Schemas } from "../chat/api";

export type AdminStats = Schemas["AdminStats"];
export type EdgeLease = Schemas["EdgeLease"];
export type AdminConnection = Schemas["AdminConnection"];
export type ConnectionPage = Schemas["ConnectionPage"];
export type BroadcastDraft = Schemas["BroadcastBody"];
export type Broadcast = Schemas["BroadcastOut"];
export type MessageDelivery = Schemas["MessageDelivery"];
export type RecipientDelivery = Schemas["RecipientDelivery"];
export type DeliveryState = Schemas["DeliveryState"];
export type DeadLetter = Schemas["PushRecord"];
export type DeadPage = Schemas["DeadPage"];
export type DeviceType = Schemas["DeviceType"];
export type Role = Schemas["Role"];

export const DEVICE_TYPES = ["mobile", "tablet", "desktop"] as const satisfies readonly DeviceType[];
/** Those who have a screen; `service` is a host application. */
export const HUMAN_ROLES = ["customer", "consultant", "doctor", "admin"] as const satisfies readonly Role[];

/** How many dead letters come at once. */
export const DEAD_PER_PAGE = 50;

/** Sockets that match all that is given. */
export interface ConnectionFilter {
  readonly userId?: string | undefined;
  readonly edgeId?: string | undefined;
  readonly deviceType?: DeviceType | undefined;
  readonly role?: Role | undefined;
}

/** One user's sockets: one of them, or all. */
export interface DisconnectWish {
  readonly userId: string;
  readonly connectionId?: string | undefined;
}

/** Some dead letters by their ids, or all that there are. */
export type DeadChoice = readonly number[] | "all";

/**
 * What an admin can ask and do. Every call rejects with an `ApiError` and has then changed nothing, but for `network`: what
 * takes a `key` may be repeated under the same one.
 */
export interface AdminApi {
  stats(): Promise<AdminStats>;
  connections(filter: ConnectionFilter, cursor?: string): Promise<ConnectionPage>;
  /** How many sockets were told to close; undefined if the server could not tell. */
  disconnect(wish: DisconnectWish, key: string): Promise<number | undefined>;
  /** Accepted, and told to that many users one by one. */
  broadcast(draft: BroadcastDraft, key: string): Promise<{ readonly id: string; readonly recipients: number }>;
  /** Newest first. */
  broadcasts(): Promise<readonly Broadcast[]>;
  /** Recipients behind `after`, in the order of their ids. */
  delivery(messageId: string, after?: string): Promise<MessageDelivery>;
  /** Oldest first. */
  deadLetters(filter: { readonly userId?: string | undefined }, afterId?: number): Promise<DeadPage>;
  replay(which: DeadChoice): Promise<number>;
  drop(which: DeadChoice): Promise<number>;
}
