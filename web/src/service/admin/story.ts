/** The delivery ledger of a message as what happened to it with each recipient, in the order of time. */

import type { Schemas } from "../chat/api";
import type { DeliveryState, MessageDelivery, RecipientDelivery } from "./model";

type PushDecision = Schemas["PushDecision"];
type PushToDevice = Schemas["PushToDevice"];

export type StoryKind =
  | "received"
  | "handed_over"
  | "push_pending"
  | "push_held"
  | "push_skipped"
  | "push_sent"
  | "push_dead"
  | "tried"
  | "accepted"
  | "shown"
  | "retracted"
  | "failed"
  | "device_skipped"
  | "read";

export interface StoryStep {
  readonly key: string;
  readonly kind: StoryKind;
  /** Milliseconds since 1970; undefined where the ledger knows that, but not when. */
  readonly at: number | undefined;
  readonly deviceType?: Schemas["DeviceType"] | undefined;
  readonly edgeId?: string | undefined;
  readonly provider?: string | undefined;
  /** Why: an `OfflineReason` where it was handed over, a `SkipReason` where there is no push. */
  readonly reason?: string | undefined;
  /** The push service's own words. */
  readonly error?: string | undefined;
  readonly attempts?: number | undefined;
  /** When a push that waits is due. */
  readonly dueAt?: number | undefined;
}

export interface RecipientStory {
  readonly userId: string;
  readonly state: DeliveryState;
  readonly steps: readonly StoryStep[];
}

const MESSAGE_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** A message's id as somebody pasted it; undefined if it is none. */
export function messageIdOf(text: string): string | undefined {
  const id = text.trim().toLowerCase();
  return MESSAGE_ID.test(id) ? id : undefined;
}

export function storiesOf(delivery: MessageDelivery): readonly RecipientStory[] {
  return delivery.recipients.map((recipient) => ({
    userId: recipient.user_id,
    state: recipient.state,
    steps: stepsOf(recipient),
  }));
}

/** How many recipients are in each state, of the states that occur. */
export function countStates(stories: readonly RecipientStory[]): ReadonlyMap<DeliveryState, number> {
  const counts = new Map<DeliveryState, number>();
  for (const { state } of stories) counts.set(state, (counts.get(state) ?? 0) + 1);
  return counts;
}

function stepsOf({ devices = [], push, read }: RecipientDelivery): readonly StoryStep[] {
  const steps: StoryStep[] = devices.map((device, index) => ({
    key: `received ${index}`,
    kind: "received",
    at: time(device.received_at),
    deviceType: device.device_type,
    edgeId: device.edge_id ?? undefined,
  }));
  if (push?.handed_over) {
    const { reason, at } = push.handed_over;
    steps.push({ key: "handed over", kind: "handed_over", at: time(at), reason });
  }
  if (push?.decision) steps.push(...stepsOfPush(push.decision));
  // The ledger knows that it was read, not when.
  if (read) steps.push({ key: "read", kind: "read", at: undefined });
  return steps.sort(byTime);
}

function stepsOfPush(decision: PushDecision): readonly StoryStep[] {
  const devices = (decision.devices ?? []).flatMap(stepsOfDevice);
  const held = decision.state === "pending" && decision.held === true;
  const whole: StoryStep = {
    key: "push",
    kind: held ? "push_held" : `push_${decision.state}`,
    at: time(decision.settled_at),
    provider: decision.provider ?? undefined,
    reason: decision.skip_reason ?? undefined,
    attempts: decision.attempts,
    dueAt: decision.state === "pending" ? time(decision.due_at) : undefined,
  };
  return [...devices, whole];
}

function stepsOfDevice(device: PushToDevice, index: number): readonly StoryStep[] {
  const { device_type, provider, attempts, state } = device;
  const common = { deviceType: device_type ?? undefined, provider };
  const step = (kind: StoryKind, at: string | null | undefined, more: Partial<StoryStep> = {}): StoryStep => ({
    key: `${kind} ${index}`,
    kind,
    at: time(at),
    ...common,
    ...more,
  });
  const steps: StoryStep[] = [];
  const error = device.last_error ?? undefined;
  if (state === "failed") steps.push(step("failed", device.attempted_at, { error, attempts }));
  else if (state === "skipped")
    steps.push(step("device_skipped", undefined, { reason: device.skip_reason ?? undefined }));
  else if (state === "pending" && attempts > 0) steps.push(step("tried", device.attempted_at, { error, attempts }));
  if (device.accepted_at) steps.push(step("accepted", device.accepted_at, { attempts }));
  if (device.acknowledged_at) steps.push(step("shown", device.acknowledged_at));
  if (device.retracted_at) steps.push(step("retracted", device.retracted_at));
  return steps;
}

/** In order; what has no time keeps its place behind what has one. */
function byTime(a: StoryStep, b: StoryStep): number {
  return (a.at ?? Number.POSITIVE_INFINITY) === (b.at ?? Number.POSITIVE_INFINITY)
    ? 0
    : (a.at ?? Number.POSITIVE_INFINITY) - (b.at ?? Number.POSITIVE_INFINITY);
}

function time(text: string | null | undefined): number | undefined {
  if (text === null || text === undefined) return undefined;
  const at = Date.parse(text);
  return Number.isFinite(at) ? at : undefined;
}
