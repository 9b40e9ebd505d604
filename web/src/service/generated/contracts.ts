// Made by scripts/types.mjs from what the servers publish; `npm run types` makes it anew. Not to be edited.

/**
 * What a socket is for.
 */
export type ConnectionType = ("chat" | "admin")
/**
 * What kind of device a socket belongs to.
 */
export type DeviceType = ("mobile" | "desktop" | "tablet")
/**
 * Stable `code` of an error, over HTTP (RFC 9457 problem) and in `error` frames alike.
 */
export type ErrorCode = ("malformed_json" | "validation_failed" | "unauthenticated" | "token_expired" | "token_revoked" | "wrong_credentials" | "user_blocked" | "forbidden" | "not_found" | "method_not_allowed" | "already_exists" | "conflict" | "assignee_offline" | "idempotency_conflict" | "payload_too_large" | "unsupported_media_type" | "range_not_satisfiable" | "limit_reached" | "seq_out_of_range" | "unknown_user" | "unknown_action" | "rate_limited" | "unavailable" | "timeout" | "internal")
/**
 * What a device runs.
 */
export type Platform = ("ios" | "android" | "web" | "other")
/**
 * Whose push service a token belongs to.
 */
export type PushService = ("fcm" | "apns" | "webpush" | "jpush" | "getui" | "umeng" | "stub")
/**
 * Why a socket was closed; each member says whether a client should come back.
 */
export type CloseCode = (1000 | 1001 | 1002 | 1007 | 1009 | 1011 | 1012 | 4400 | 4401 | 4403 | 4408 | 4409 | 4413 | 4429)
/**
 * What a message holds.
 */
export type MessageType = ("text" | "image" | "file" | "voice" | "system")
/**
 * Who speaks: a person, or the system. Never a role name.
 */
export type SenderType = ("chat" | "system")
/**
 * What a client may write; `system` messages are made by the service alone.
 */
export type DraftType = ("text" | "image" | "file" | "voice")
/**
 * Why a delivery was handed to the notifier.
 */
export type OfflineReason = ("no_connection" | "unacknowledged" | "important_mobile" | "idle_desktop" | "active_desktop")
/**
 * Why a push was not sent; stored, shown by the API, and a label of the metrics.
 */
export type SkipReason = ("not_a_message" | "own_message" | "excluded" | "unknown_version" | "deleted" | "read" | "delivered" | "left" | "blocked" | "turned_off" | "muted" | "active_desktop" | "large_room" | "no_device" | "no_provider" | "token_gone" | "digested" | "expired" | "dropped")
/**
 * Where the push to one device stands.
 */
export type DevicePushState = ("pending" | "accepted" | "skipped" | "failed")
/**
 * Where a delivery stands: `pending` until every device of it is settled.
 */
export type PushState = ("pending" | "sent" | "skipped" | "dead")
/**
 * What an admin did.
 */
export type AdminAct = ("disconnect_user" | "block_user" | "unblock_user" | "revoke_sessions" | "broadcast" | "replay_pushes" | "drop_pushes")
/**
 * Why sessions ended.
 */
export type SessionEnd = ("logout" | "password_changed" | "refresh_token_reused" | "revoked" | "disconnected")

/**
 * Data of the `ack` to `send_message`: the message is committed. `duplicate` says that it already was.
 */
export interface Ack {
client_msg_id: string
conversation_id: string
duplicate?: boolean
message_id: string
seq: number
}
/**
 * Data of `activity`, and of its `ack`: whether somebody sits before the device. A new socket counts as active.
 *
 * What only idle desktops got becomes a push to the phone after a while.
 */
export interface Activity {
active: boolean
}
/**
 * One entry of `GET /v1/admin/connections`.
 */
export interface AdminConnection {
connected_at: string
connection_id: string
/**
 * What a socket is for.
 */
connection_type?: ("chat" | "admin")
device_id?: (string | null)
device_type: DeviceType
edge_id: string
idle?: boolean
roles?: string[]
user_id: string
}
/**
 * An edge's counters since its start.
 */
export interface EdgeFigures {
by_device?: {
[k: string]: number
}
by_role?: {
[k: string]: number
}
connections?: number
frames_in?: number
frames_out?: number
nats_interruptions?: number
receipts?: number
slow_closes?: number
users?: number
}
/**
 * An edge is alive.
 */
export interface EdgeLease {
edge_id: string
figures?: EdgeFigures1
instance: string
renewed_at: string
started_at: string
}
/**
 * An edge's counters since its start.
 */
export interface EdgeFigures1 {
by_device?: {
[k: string]: number
}
by_role?: {
[k: string]: number
}
connections?: number
frames_in?: number
frames_out?: number
nats_interruptions?: number
receipts?: number
slow_closes?: number
users?: number
}
/**
 * Answer of `GET /v1/admin/stats`, and data of a `stats` frame. Rates are per second over the last 10 s or so.
 */
export interface AdminStats {
at: string
by_device: {
[k: string]: number
}
by_edge: {
[k: string]: number
}
by_role: {
[k: string]: number
}
connections: number
deliveries_per_s: number
delivery_p50_ms?: (number | null)
delivery_p99_ms?: (number | null)
edges?: EdgeLease[]
fanout_lag_s?: (number | null)
gaps_healed?: number
messages_per_s: number
nats_interruptions?: number
push_results_per_s?: {
[k: string]: number
}
pushes_per_s: number
relay_lag_s?: (number | null)
slow_closes?: number
users_online: number
}
/**
 * One stored file. `media_type` is what its bytes were found to be, not what the uploader said.
 */
export interface Attachment {
duration_ms?: (number | null)
id: string
media_type: string
name: string
sha256: string
size_bytes: number
}
/**
 * What arrives: the action is checked by the edge, the data by whoever handles that action.
 */
export interface ClientFrame {
action: string
data?: {
[k: string]: unknown
}
ref?: (string | number | null)
traceparent?: (string | null)
}
/**
 * Data of an `error` frame; the socket stays open unless a close code follows.
 */
export interface FrameError {
code: ErrorCode
message: string
retry_after_ms?: (number | null)
}
/**
 * Data of the `ack`, or the error, to be passed to the client as it is.
 */
export interface CommandReply {
ack?: ({
[k: string]: unknown
} | null)
error?: (FrameError | null)
}
/**
 * What a client must keep to.
 */
export interface ServerLimits {
frame_bytes_max?: number
frames_per_s?: (number | null)
presence_users_max?: number
ref_chars_max?: number
typing_expires_ms?: number
}
/**
 * First frame of every socket.
 */
export interface Connected {
connection_id: string
connection_timeout_ms: number
edge_id: string
features: string[]
heartbeat_interval_ms: number
limits?: ServerLimits1
max_reconnect_attempts: number
protocol_version?: number
sync_interval_ms: number
user_id: string
}
/**
 * What a client must keep to.
 */
export interface ServerLimits1 {
frame_bytes_max?: number
frames_per_s?: (number | null)
presence_users_max?: number
ref_chars_max?: number
typing_expires_ms?: number
}
/**
 * Data of the live `consult_updated` that all consultants and doctors get: a consult as it stands.
 *
 * The people in the conversation get the event itself as a durable frame, of the same action.
 */
export interface ConsultUpdate {
assignee_id?: (string | null)
conversation_id: string
customer_id: string
event: string
state: string
topic?: (string | null)
}
/**
 * Data of `delivered`, for the sender: a device of `user_id` has had everything up to `seq`'s message.
 */
export interface DeliveredUpdate {
conversation_id: string
seq: number
user_id: string
}
/**
 * A registered device, without its token: an entry of `GET /v1/devices`.
 */
export interface Device {
app_id: string
app_version?: (string | null)
device_id: string
device_type: DeviceType
id: string
last_seen_at: string
locale?: (string | null)
platform: Platform
push_service: PushService
registered_at: string
sandbox?: boolean
}
/**
 * The keys of a browser's subscription, base64url.
 */
export interface SubscriptionKeys {
auth: string
p256dh: string
}
/**
 * Body of `POST /v1/devices`. The same (app_id, device_id) again replaces what was registered before.
 *
 * `token` for every service but `webpush`; there it is the subscription's endpoint, and `keys` are needed, too.
 */
export interface DeviceDraft {
app_id?: string
app_version?: (string | null)
device_id: string
/**
 * What kind of device a socket belongs to.
 */
device_type?: ("mobile" | "desktop" | "tablet")
keys?: (SubscriptionKeys | null)
locale?: (string | null)
platform: Platform
push_service?: (PushService | null)
sandbox?: boolean
token: string
}
/**
 * `natter.control.disconnect`: close sockets of a user. Only those that match everything that is given.
 */
export interface Disconnect {
/**
 * Why a socket was closed; each member says whether a client should come back.
 */
code?: (1000 | 1001 | 1002 | 1007 | 1009 | 1011 | 1012 | 4400 | 4401 | 4403 | 4408 | 4409 | 4413 | 4429)
connection_id?: (string | null)
device_type?: (DeviceType | null)
reason?: string
user_id: string
}
/**
 * One socket: seed row S6.
 */
export interface ConnectionInfo {
connected_at: string
connection_id: string
/**
 * What a socket is for.
 */
connection_type?: ("chat" | "admin")
device_id?: (string | null)
device_type: DeviceType
idle?: boolean
roles?: string[]
}
/**
 * All sockets that one edge holds of one user.
 */
export interface EdgePresence {
connections: ConnectionInfo[]
edge_id: string
instance: string
}
/**
 * An event as stored in the EVENTS stream.
 *
 * `subject` is the stream (`conversation:<id>` or `user:<id>`), `seq` its gapless place there, `dataversion` the
 * version of `data`, `position` the event's number in the whole record (it may have gaps), and `partitionkey` what
 * must be handled in order. The order of the record is that of `(txid, position)`: numbers are given when a row is
 * written, and transactions do not end in the order in which they wrote.
 */
export interface Envelope {
data: {
[k: string]: unknown
}
datacontenttype?: "application/json"
dataversion?: number
id: string
partitionkey: string
position: number
seq: number
source?: string
specversion?: "1.0"
subject: string
time: string
traceparent?: (string | null)
txid?: (number | null)
type: string
}
/**
 * The answer instead, when there is none: `error` is a sentence, the same question may be asked again.
 */
export interface FactsRefused {
error: string
}
/**
 * Data of `mark_read`: everything up to `seq` was read.
 */
export interface MarkRead {
conversation_id: string
seq: number
}
/**
 * Who asks, as the token says, and over which socket.
 */
export interface Asker {
connection_id: string
issuer?: (string | null)
name?: (string | null)
roles?: string[]
user_id: string
}
/**
 * `natter.command.mark_read`; its `ack` is a `ReadUpdate`.
 */
export interface MarkReadCommand {
asker: Asker
read: MarkRead
}
/**
 * What makes a message of the system more than text; its text is the message's `content`.
 */
export interface Notice {
data?: ({
[k: string]: unknown
} | null)
title: string
type: string
}
/**
 * A message as it is now: the same shape in HTTP answers, events and frames.
 *
 * `seq` is its place in the conversation's gapless order. A deleted message stays as a tombstone: `deleted_at` is
 * set and `content` is empty.
 */
export interface Message {
attachment?: (Attachment | null)
attachment_id?: (string | null)
client_msg_id?: (string | null)
content: string
conversation_id: string
created_at: string
deleted_at?: (string | null)
edited_at?: (string | null)
extra_metadata?: ({
[k: string]: unknown
} | null)
id: string
is_important?: boolean
mentions?: (string[] | null)
message_type: MessageType
notice?: (Notice | null)
reply_to?: (string | null)
sender_id: string
sender_name?: (string | null)
sender_type: SenderType
seq: number
}
/**
 * What a client sends: the body of `POST /v1/conversations/{id}/messages` and the heart of `send_message`.
 */
export interface MessageDraft {
attachment_id?: (string | null)
client_msg_id: string
content: string
extra_metadata?: ({
[k: string]: unknown
} | null)
is_important?: boolean
mentions?: (string[] | null)
/**
 * What a client may write; `system` messages are made by the service alone.
 */
message_type?: ("text" | "image" | "file" | "voice")
reply_to?: (string | null)
}
/**
 * Whether a user hears of a conversation by push; answer of `PUT /v1/conversations/{id}/mute`.
 */
export interface Mute {
conversation_id: string
muted: boolean
until?: (string | null)
}
/**
 * Body of `PUT /v1/conversations/{id}/mute`.
 */
export interface MuteDraft {
muted?: boolean
until?: (string | null)
}
/**
 * What was said to one user: data of a `direct_message` frame, and an entry of `GET /v1/notifications`.
 */
export interface Notification {
action?: (string | null)
broadcast_id?: (string | null)
content: string
conversation_id?: (string | null)
created_at: string
data?: ({
[k: string]: unknown
} | null)
id: string
is_important?: boolean
/**
 * Who speaks: a person, or the system. Never a role name.
 */
sender_type?: ("chat" | "system")
title: string
type: string
user_id: string
}
/**
 * Body of `POST /v1/users/{id}/notifications`: seed row S2.
 */
export interface NotificationDraft {
action?: (string | null)
content: string
conversation_id?: (string | null)
data?: ({
[k: string]: unknown
} | null)
is_important?: boolean
title: string
type: string
}
/**
 * Every day from `start` to `end` on the wall clock of `zone`; an `end` before `start` is on the next day.
 */
export interface QuietHours {
end: string
start: string
zone: string
}
/**
 * A user's wishes. What is None is as the deployment has it.
 */
export interface NotificationSettings {
grace_idle_desktop_s?: (number | null)
grace_offline_s?: (number | null)
important_past_mute?: boolean
important_past_quiet_hours?: boolean
locale?: (string | null)
push_active_desktop?: (boolean | null)
pushes?: boolean
quiet_hours?: (QuietHours | null)
show_text?: boolean
snooze_until?: (string | null)
}
/**
 * One event that one user's devices did not (all) get; unique by event and user.
 */
export interface OfflineDelivery {
decided_at: string
event: Envelope
reason: OfflineReason
user_id: string
}
/**
 * Data of `presence_subscribe`: replaces what this socket was subscribed to. An empty list ends it.
 *
 * The `ack` holds the state of those whom the caller may see: who shares a conversation with them, or is staff.
 */
export interface PresenceSubscribe {
/**
 * @maxItems 200
 */
user_ids: string[]
}
/**
 * `natter.command.presence`; its `ack` is a `PresenceStates` of those whom the asker may see.
 */
export interface PresenceCommand {
asker: Asker
subscribe: PresenceSubscribe
}
/**
 * Data of `presence`.
 */
export interface PresenceUpdate {
device_types?: DeviceType[]
online: boolean
user_id: string
}
/**
 * Data of the `ack` to `presence_subscribe`.
 */
export interface PresenceStates {
users: PresenceUpdate[]
}
/**
 * One field that was wrong.
 */
export interface FieldProblem {
field: string
message: string
}
/**
 * Body of every error. `code` is what a program branches on; docs/errors.md explains each.
 */
export interface Problem {
code: ErrorCode
detail: string
errors?: (FieldProblem[] | null)
/**
 * The same as in the header X-Request-Id.
 */
request_id?: (string | null)
status: number
title: string
/**
 * A URN that ends in the code.
 */
type: string
}
/**
 * Counters since a process' start, and gauges of this moment, by the names of its Prometheus metrics.
 */
export interface ProcessFigures {
at: string
instance: string
service: string
values?: {
[k: string]: number
}
}
/**
 * A registered device as the notifier needs it; never leaves the services.
 */
export interface PushDevice {
app_id: string
device_type: DeviceType
id: string
keys?: (SubscriptionKeys | null)
locale?: (string | null)
platform: Platform
push_service: PushService
registered_at: string
sandbox?: boolean
token: string
}
/**
 * A socket that is open now.
 */
export interface ConnectionNow {
device_type: DeviceType
idle?: boolean
}
/**
 * How one delivery stands. The answers are in the order of the questions.
 */
export interface DeliveryFacts {
content?: (string | null)
conversation_title?: (string | null)
deleted?: boolean
delivered_to?: DeviceType[]
event_id: string
member?: boolean
members?: number
muted?: boolean
read?: boolean
synced?: boolean
user_id: string
}
/**
 * How one user stands.
 */
export interface UserFacts {
badge?: number
blocked?: boolean
connections?: ConnectionNow[]
devices?: PushDevice[]
settings?: NotificationSettings1
user_id: string
}
/**
 * A user's wishes. What is None is as the deployment has it.
 */
export interface NotificationSettings1 {
grace_idle_desktop_s?: (number | null)
grace_offline_s?: (number | null)
important_past_mute?: boolean
important_past_quiet_hours?: boolean
locale?: (string | null)
push_active_desktop?: (boolean | null)
pushes?: boolean
quiet_hours?: (QuietHours | null)
show_text?: boolean
snooze_until?: (string | null)
}
/**
 * The answer.
 */
export interface PushFacts {
at: string
deliveries?: DeliveryFacts[]
users?: UserFacts[]
}
/**
 * One delivery: an event and a user.
 */
export interface PushQuestion {
conversation_id?: (string | null)
event_id: string
message_id?: (string | null)
seq?: (number | null)
user_id: string
}
/**
 * `natter.notifier.facts`. `user_ids` are asked for beside those of the questions.
 */
export interface PushFactsCommand {
/**
 * @maxItems 40
 */
questions?: PushQuestion[]
/**
 * @maxItems 40
 */
user_ids?: string[]
}
/**
 * The push to one device; `device` is None when the provider addresses the user.
 */
export interface DevicePush {
accepted_at?: (string | null)
acknowledged_at?: (string | null)
attempted_at?: (string | null)
attempts?: number
device?: (string | null)
device_type?: (DeviceType | null)
due_at?: (string | null)
id: string
last_error?: (string | null)
provider: string
provider_ref?: (string | null)
retracted_at?: (string | null)
skip_reason?: (SkipReason | null)
state: DevicePushState
}
/**
 * One row of `GET /v1/pushes` at the notifier.
 */
export interface PushRecord {
attempts?: number
devices?: DevicePush[]
due_at?: (string | null)
event_id: string
held?: boolean
id: number
last_error?: (string | null)
provider?: (string | null)
reason: OfflineReason
received_at: string
settled_at?: (string | null)
skip_reason?: (SkipReason | null)
state: PushState
user_id: string
}
/**
 * Data of `read`: how far somebody has read. Also the `ack` to `mark_read`, with what holds then.
 */
export interface ReadUpdate {
conversation_id: string
seq: number
user_id: string
}
/**
 * An edge's word that a frame reached a device: the pong to the ping behind the frame has come back.
 */
export interface Receipt {
connection_id: string
device_type: DeviceType
edge_id: string
idle?: boolean
}
/**
 * Data of `refresh_token`: a new token of the same user, before the old one expires.
 */
export interface RefreshToken {
token: string
}
/**
 * Answer of `POST /v1/devices`.
 */
export interface RegisteredDevice {
app_id: string
app_version?: (string | null)
device_id: string
device_type: DeviceType
id: string
last_seen_at: string
locale?: (string | null)
platform: Platform
push_service: PushService
registered_at: string
sandbox?: boolean
unregister_key: string
}
/**
 * Tokens that are good no more: of a user, if they were issued before `at`; or of one session.
 */
export interface Revocation {
at: string
blocked?: boolean
lifted?: boolean
session_id?: (string | null)
user_id: string
}
/**
 * Data of `send_message`.
 */
export interface SendMessage {
attachment_id?: (string | null)
client_msg_id: string
content: string
conversation_id: string
extra_metadata?: ({
[k: string]: unknown
} | null)
is_important?: boolean
mentions?: (string[] | null)
/**
 * What a client may write; `system` messages are made by the service alone.
 */
message_type?: ("text" | "image" | "file" | "voice")
reply_to?: (string | null)
}
/**
 * `natter.command.send_message`: the edge vouches for the sender, whose token it has verified.
 */
export interface SendMessageCommand {
connection_id: string
message: SendMessage
sender_id: string
sender_issuer?: (string | null)
sender_name?: (string | null)
sender_roles?: string[]
traceparent?: (string | null)
}
/**
 * Either the ack or the error, to be passed to the client as it is.
 */
export interface SendMessageReply {
ack?: (Ack | null)
error?: (FrameError | null)
}
/**
 * `natter.command.stats`: for edges that hold admins' sockets; its `ack` is an `AdminStats`.
 */
export interface StatsCommand {
asker: Asker
}
/**
 * Where a conversation stood when the snapshot was taken. The answer holds more: all that a list shows.
 */
export interface ConversationHead {
id: string
last_seq: number
}
/**
 * One page; ask again with `next_cursor` while `has_more`.
 *
 * `conversations` and `user_seq` (the last seq of the user's own stream) are there on the pages of a snapshot only. On
 * the first page of a snapshot that answers a cursor, `reset` is true: what the client has may have a hole that no
 * increment fills. Conversations that a whole snapshot does not name are no longer the user's.
 */
export interface SyncPage {
conversations?: (ConversationHead[] | null)
events?: Envelope[]
has_more?: boolean
next_cursor: string
reset?: boolean
user_seq?: (number | null)
}
/**
 * Body of `POST /v1/conversations/{id}/system-notifications`: seed row S5.
 */
export interface SystemNotificationDraft {
data?: ({
[k: string]: unknown
} | null)
is_important?: boolean
message: string
title: string
type: string
}
/**
 * `natter.notifier.gone`: a push service says that a token is good no more.
 */
export interface TokenGone {
device: string
registered_at: string
}
/**
 * Whether something was removed.
 */
export interface TokenGoneReply {
removed: boolean
}
/**
 * Data of the `ack` to `refresh_token`.
 */
export interface TokenRefreshed {
expires_at: string
}
/**
 * Data of a client's `typing`.
 */
export interface Typing {
conversation_id: string
is_typing: boolean
}
/**
 * `natter.command.typing`.
 */
export interface TypingCommand {
asker: Asker
typing: Typing
}
/**
 * Data of a server's `typing`. Without renewal it is taken back after `TYPING_EXPIRES_MS`, by a frame too.
 */
export interface TypingUpdate {
conversation_id: string
is_typing: boolean
user_id: string
}
/**
 * One entry of `GET /v1/users/{id}/connections`.
 */
export interface UserConnection {
connected_at: string
connection_id: string
/**
 * What a socket is for.
 */
connection_type?: ("chat" | "admin")
device_id?: (string | null)
device_type: DeviceType
edge_id: string
idle?: boolean
roles?: string[]
}
/**
 * Answer of `GET /v1/users/{id}/presence`: seed row S7.
 */
export interface UserPresence {
device_types?: DeviceType[]
last_seen_at?: (string | null)
online: boolean
user_id: string
}
/**
 * Somebody gave a waiting consult to a consultant.
 */
export interface ConsultAssignedV1 {
assigned_at: string
by: string
consultant_id: string
conversation_id: string
}
/**
 * The consult is over; the conversation and its history stay.
 */
export interface ConsultClosedV1 {
by: string
closed_at: string
conversation_id: string
}
/**
 * The consult went from one consultant to another, or back into the queue (`to_id` is None).
 */
export interface ConsultHandedOverV1 {
by: string
conversation_id: string
from_id: string
handed_over_at: string
to_id?: (string | null)
}
/**
 * A customer asks for somebody, and waits in the queue.
 */
export interface ConsultOpenedV1 {
conversation_id: string
customer_id: string
opened_at: string
topic?: (string | null)
}
/**
 * A consultant took the consult from the queue.
 */
export interface ConsultTakenV1 {
consultant_id: string
conversation_id: string
taken_at: string
}
/**
 * A conversation was opened; the owner is a recipient like every participant.
 */
export interface ConversationCreatedV1 {
conversation_id: string
created_at: string
metadata?: ({
[k: string]: unknown
} | null)
notes_of?: (string | null)
owner_id: string
participant_ids: string[]
title?: (string | null)
}
/**
 * Title or metadata changed; both are given as they are now.
 */
export interface ConversationUpdatedV1 {
conversation_id: string
metadata?: ({
[k: string]: unknown
} | null)
title?: (string | null)
updated_at: string
updated_by: string
}
/**
 * A message was accepted.
 */
export interface MessageCreatedV1 {
attachment?: (Attachment | null)
attachment_id?: (string | null)
client_msg_id?: (string | null)
content: string
conversation_id: string
created_at: string
deleted_at?: (string | null)
edited_at?: (string | null)
exclude_user_ids?: string[]
extra_metadata?: ({
[k: string]: unknown
} | null)
id: string
is_important?: boolean
mentions?: (string[] | null)
message_type: MessageType
notice?: (Notice | null)
reply_to?: (string | null)
sender_id: string
sender_name?: (string | null)
sender_type: SenderType
seq: number
}
/**
 * A message was deleted: the tombstone that stays.
 */
export interface MessageDeletedV1 {
attachment?: (Attachment | null)
attachment_id?: (string | null)
client_msg_id?: (string | null)
content: string
conversation_id: string
created_at: string
deleted_at?: (string | null)
edited_at?: (string | null)
extra_metadata?: ({
[k: string]: unknown
} | null)
id: string
is_important?: boolean
mentions?: (string[] | null)
message_type: MessageType
notice?: (Notice | null)
reply_to?: (string | null)
sender_id: string
sender_name?: (string | null)
sender_type: SenderType
seq: number
}
/**
 * A message's text changed: the message as it is now. Its `seq` is still that of its creation.
 */
export interface MessageEditedV1 {
attachment?: (Attachment | null)
attachment_id?: (string | null)
client_msg_id?: (string | null)
content: string
conversation_id: string
created_at: string
deleted_at?: (string | null)
edited_at?: (string | null)
extra_metadata?: ({
[k: string]: unknown
} | null)
id: string
is_important?: boolean
mentions?: (string[] | null)
message_type: MessageType
notice?: (Notice | null)
reply_to?: (string | null)
sender_id: string
sender_name?: (string | null)
sender_type: SenderType
seq: number
}
/**
 * A user became a participant: sees the conversation from here on, and its history.
 */
export interface ParticipantJoinedV1 {
added_by: string
conversation_id: string
joined_at: string
user_id: string
}
/**
 * A user left or was removed: sees this event as the last one.
 */
export interface ParticipantLeftV1 {
conversation_id: string
left_at: string
removed_by: string
user_id: string
}
/**
 * An admin did something, recorded in the admin's own stream.
 */
export interface UserAdminActedV1 {
act: AdminAct
acted_at: string
details?: ({
[k: string]: unknown
} | null)
target?: (string | null)
user_id: string
}
/**
 * The user may not use the service any more: every session is over.
 */
export interface UserBlockedV1 {
blocked_at: string
by: string
user_id: string
}
/**
 * The user's own note of a new membership: how a device that was away learns of a conversation.
 */
export interface UserConversationJoinedV1 {
at_seq: number
conversation_id: string
joined_at: string
user_id: string
}
/**
 * The user's own note of a membership's end: the conversation can no longer tell this user itself.
 */
export interface UserConversationLeftV1 {
at_seq: number
conversation_id: string
left_at: string
user_id: string
}
/**
 * The user muted a conversation, or took that back.
 */
export interface UserConversationMutedV1 {
changed_at: string
conversation_id: string
muted: boolean
until?: (string | null)
user_id: string
}
/**
 * The system said something to one user: on every device, and a push if there is none.
 */
export interface UserNotifiedV1 {
device_types?: DeviceType[]
notification: Notification
}
/**
 * The user has read a conversation up to `seq` (monotonic).
 */
export interface UserReadAdvancedV1 {
conversation_id: string
read_at: string
seq: number
user_id: string
}
/**
 * A user became known. Secrets are never part of an event.
 */
export interface UserRegisteredV1 {
name?: (string | null)
registered_at: string
roles: string[]
user_id: string
}
/**
 * Tokens of one session, or of all of a user's sessions up to now, are good no more.
 */
export interface UserSessionsEndedV1 {
by: string
ended_at: string
reason: SessionEnd
session_id?: (string | null)
user_id: string
}
/**
 * The user's wishes about notifications, whole, as they are now.
 */
export interface UserSettingsChangedV1 {
changed_at: string
settings: NotificationSettings
user_id: string
}
/**
 * The user may sign in again.
 */
export interface UserUnblockedV1 {
by: string
unblocked_at: string
user_id: string
}
/**
 * A user's name or roles changed; both are given as they are now.
 */
export interface UserUpdatedV1 {
name?: (string | null)
roles: string[]
updated_at: string
user_id: string
}
