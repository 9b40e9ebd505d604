/** What the socket's parts say to one another, and what they need of the world around them: no DOM, no React. */

import type { ConnectionStatus, DeviceType } from "../chat/model";

export type { ConnectionStatus, DeviceType };

/** Ends what it was given for; calling it again does nothing. */
export type Cancel = () => void;

/** Time and chance, so that a test can own both. */
export interface Clock {
  /** Milliseconds that only ever grow. */
  now(): number;
  /** Milliseconds since 1970, as the device believes; it may jump, and it goes on while the device sleeps. */
  wall(): number;
  /** Uniform in [0, 1). */
  random(): number;
  after(ms: number, what: () => void): Cancel;
}

/** One socket as the core uses it. `close` may be called in any state. */
export interface Socket {
  send(text: string): void;
  close(code?: number, reason?: string): void;
}

export interface SocketEvents {
  onOpen(): void;
  onText(text: string): void;
  /** Called once, whether the socket was ever open or not. */
  onClose(code: number, reason: string): void;
}

/** Opens sockets; throws if the address is none. */
export interface Transport {
  open(url: string, protocols: readonly string[], events: SocketEvents): Socket;
}

/** What the browser believes of its network. */
export interface Network {
  online(): boolean;
  subscribe(listener: () => void): Cancel;
}

/** Whether somebody can see the page. */
export interface Visibility {
  visible(): boolean;
  subscribe(listener: () => void): Cancel;
}

export interface Environment {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly network: Network;
  readonly visibility: Visibility;
}

/** Where access tokens come from. `current` rejects with `SignedOut` if there will be none, otherwise with anything. */
export interface TokenSource {
  /** A token that is not about to end. */
  current(): Promise<string>;
  /** The server does not take this one any more. */
  refused(token: string): void;
}

export type ConnectionType = "chat" | "admin";

/** Device settings: the same for all types of device. */
export interface ConnectionSettings {
  /** From opening the socket to the server's `connected`. */
  readonly connectionTimeout: number;
  /** Until `connected` says another. */
  readonly heartbeatInterval: number;
  readonly reconnectInterval: number;
  readonly maxReconnectDelay: number;
  readonly maxReconnectAttempts: number;
}

export const DEFAULT_SETTINGS: ConnectionSettings = {
  connectionTimeout: 20_000,
  heartbeatInterval: 45_000,
  reconnectInterval: 2_000,
  maxReconnectDelay: 30_000,
  maxReconnectAttempts: 15,
};

export interface ConnectionOptions {
  /** Of one or more edges; each attempt takes the next. */
  readonly urls: readonly string[];
  readonly deviceType: DeviceType;
  /** A newer socket of the same user and device replaces the older one. */
  readonly deviceId?: string;
  readonly connectionType: ConnectionType;
  readonly settings?: Partial<ConnectionSettings>;
}

/** What a frame of the server may hold; `stream` and `seq` are those of a durable one. */
export interface ServerFrame {
  readonly action: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly id?: string;
  readonly ref?: string | number;
  readonly stream?: string;
  readonly seq?: number;
  readonly time?: string;
}

/** What the server's `connected` says that the client goes by. */
export interface Welcome {
  readonly connectionId: string;
  readonly userId: string;
  readonly edgeId: string;
  readonly heartbeatIntervalMs: number;
  readonly connectionTimeoutMs: number;
  readonly syncIntervalMs: number;
  readonly frameBytesMax: number;
  readonly presenceUsersMax: number;
  readonly features: readonly string[];
}

/** Why the connection is not there, for a program (`code`) and for a human (`message`). */
export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly closeCode?: number;
}

export interface ConnectionState {
  readonly status: ConnectionStatus;
  /** Attempts in a row that led to no stable connection. */
  readonly attempt: number;
  /** When the next attempt is made, by `Clock.wall`; only while one waits. */
  readonly retryAt?: number;
  /** While connected; of the current socket. */
  readonly welcome?: Welcome;
  /** The last thing that went wrong; gone once connected. */
  readonly failure?: Failure;
}

export interface AskOptions {
  readonly timeoutMs?: number;
  /** Wait for a connection, within the timeout, instead of failing at once without one. */
  readonly queue?: boolean;
}

export interface RawFrame {
  readonly direction: "in" | "out";
  /** With tokens taken out. */
  readonly text: string;
  readonly at: number;
}

/** One connection of one page, or its share of the one that several tabs have together. */
export interface Connection {
  readonly state: ConnectionState;
  /** Wants to be connected from now on. Does nothing if it already does. */
  connect(): void;
  /** Wants no connection any more. */
  disconnect(): void;
  /** Called after each change of `state`. */
  subscribe(listener: (state: ConnectionState) => void): Cancel;
  /** Every frame of the server after `connected` that was understood. */
  onFrame(listener: (frame: ServerFrame) => void): Cancel;
  /** What went over the wire, for whoever looks for a mistake. */
  onRaw(listener: (frame: RawFrame) => void): Cancel;
  /** Asks, and resolves with the answer's data; rejects with `RequestError`. */
  ask(
    action: string,
    data: Readonly<Record<string, unknown>>,
    options?: AskOptions,
  ): Promise<Readonly<Record<string, unknown>>>;
  /** Sends without waiting for an answer; false if there is no connection. */
  send(action: string, data: Readonly<Record<string, unknown>>): boolean;
  /** Whether somebody sits before this device; told to the server, also on later sockets. */
  setActive(active: boolean): void;
  /** Looks now whether the other end is still there. */
  check(): void;
  /** The end: nothing of it runs any more. */
  dispose(): void;
}
