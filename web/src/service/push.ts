/** Web Push: subscribes this browser when somebody asks for it, keeps chat-api told where it is, and says what was shown. */

import { type Api, ApiError } from "./chat/api";
import type { DeviceType } from "./chat/model";
import { thisDevice } from "./device";

/** The user, or the browser for them, does not want to be notified. */
export class PushDenied extends Error {
  constructor() {
    super("notifications are not allowed");
    this.name = "PushDenied";
  }
}

/** A subscription as the browser gives it. */
export interface Subscription {
  readonly endpoint: string;
  readonly p256dh: string;
  readonly auth: string;
  unsubscribe(): Promise<unknown>;
}

/** What a browser has for Web Push. */
export interface PushPlatform {
  readonly deviceType: DeviceType;
  permission(): NotificationPermission;
  /** Asks the user; only ever on a click of theirs. */
  ask(): Promise<NotificationPermission>;
  current(): Promise<Subscription | undefined>;
  subscribe(key: Uint8Array<ArrayBuffer>): Promise<Subscription>;
  /** What the service worker says to its pages. */
  onMessage(listener: (message: unknown) => void): () => void;
}

type Storage = Pick<globalThis.Storage, "getItem" | "setItem" | "removeItem">;

interface Deps {
  readonly api: Pick<Api, "call">;
  readonly deviceId: string;
  /** The server's, base64url; none: no Web Push here. */
  readonly key: string | undefined;
  /** undefined where the browser has no Web Push. */
  readonly platform: PushPlatform | undefined;
  readonly storage: Storage;
}

/** The id under which the server knows this browser, while it does. */
const REGISTERED = "natter.push";
const UUID = /^[0-9a-f-]{36}$/;

export class PushService {
  readonly #deps: Deps;
  readonly #openers = new Set<(conversationId: string) => void>();

  constructor(deps: Deps) {
    this.#deps = deps;
    deps.platform?.onMessage((message) => this.#heard(message));
  }

  /** Both the browser and the server have it. */
  get available(): boolean {
    return this.#deps.platform !== undefined && this.#deps.key !== undefined && this.#deps.key !== "";
  }

  /**
   * After a page was loaded: whether this browser is subscribed. Tells the server again, since the browser may have changed
   * the subscription meanwhile; asks nobody for anything.
   */
  async resume(locale: string): Promise<boolean> {
    const { platform, storage } = this.#deps;
    if (!this.available || platform === undefined) return false;
    if (platform.permission() !== "granted" || read(storage) === undefined) return false;
    try {
      await this.#register(await this.#subscription(platform), locale);
      return true;
    } catch (error) {
      // Without an answer nothing has changed: what was registered before still is.
      return error instanceof ApiError && error.code === "network";
    }
  }

  /** Asks the user, subscribes, and registers; to be called on a click. Throws `PushDenied`, `ApiError`, or the browser's error. */
  async begin(locale: string): Promise<void> {
    const { platform } = this.#deps;
    if (!this.available || platform === undefined) throw new Error("there is no Web Push here");
    if ((await platform.ask()) !== "granted") throw new PushDenied();
    await this.#register(await this.#subscription(platform), locale);
  }

  /** No push to this browser any more, whoever signs in next. Never rejects: an endpoint that is gone gets nothing. */
  async end(): Promise<void> {
    const { api, platform, storage } = this.#deps;
    const id = read(storage);
    if (id === undefined) return;
    forget(storage);
    const params = { path: { id } };
    await Promise.allSettled([
      api.call((client) => client.DELETE("/v1/devices/{id}", { params })),
      platform?.current().then((subscription) => subscription?.unsubscribe()),
    ]);
  }

  /** Called with the conversation of a notification that somebody clicked. */
  onOpen(listener: (conversationId: string) => void): () => void {
    this.#openers.add(listener);
    return () => void this.#openers.delete(listener);
  }

  async #subscription(platform: PushPlatform): Promise<Subscription> {
    return (await platform.current()) ?? platform.subscribe(bytesOf(this.#deps.key ?? ""));
  }

  async #register({ endpoint, p256dh, auth }: Subscription, locale: string): Promise<void> {
    const { api, deviceId, platform, storage } = this.#deps;
    const body = {
      device_id: deviceId,
      app_id: "web",
      platform: "web" as const,
      push_service: "webpush" as const,
      token: endpoint,
      keys: { p256dh, auth },
      device_type: platform?.deviceType ?? "desktop",
      locale,
      sandbox: false,
    };
    const { id } = await api.call((client) => client.POST("/v1/devices", { body }));
    keep(storage, id);
  }

  #heard(message: unknown): void {
    if (typeof message !== "object" || message === null || !("natter" in message)) return;
    const { natter, push_id, conversation_id } = message as Readonly<Record<string, unknown>>;
    if (natter === "shown" && isId(push_id)) this.#acknowledge(push_id);
    if (natter === "open" && isId(conversation_id)) for (const open of [...this.#openers]) open(conversation_id);
  }

  #acknowledge(pushId: string): void {
    const params = { path: { push_id: pushId } };
    // Best effort: it tells whoever looks into a delivery that the notification was seen to appear.
    this.#deps.api.call((client) => client.POST("/v1/pushes/{push_id}/ack", { params })).catch(() => undefined);
  }
}

function isId(value: unknown): value is string {
  return typeof value === "string" && UUID.test(value);
}

function read(storage: Storage): string | undefined {
  try {
    return storage.getItem(REGISTERED) ?? undefined;
  } catch {
    return undefined;
  }
}

function keep(storage: Storage, id: string): void {
  try {
    storage.setItem(REGISTERED, id);
  } catch {
    // Without storage it is asked for again after a reload.
  }
}

function forget(storage: Storage): void {
  try {
    storage.removeItem(REGISTERED);
  } catch {
    // What could not be written is not there either.
  }
}

function bytesOf(base64url: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64url.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** The service of this page. The service worker is registered when somebody subscribes, or has done so before. */
export function browserPush(api: Api, deviceId: string, key: string | undefined): PushService {
  return new PushService({ api, deviceId, key, platform: browserPlatform(), storage: localStorage });
}

function browserPlatform(): PushPlatform | undefined {
  const { serviceWorker } = navigator as { serviceWorker?: ServiceWorkerContainer };
  if (serviceWorker === undefined || !("PushManager" in window) || !("Notification" in window)) return undefined;
  const manager = async (): Promise<PushManager> => {
    await serviceWorker.register("/sw.js");
    return (await serviceWorker.ready).pushManager;
  };
  return {
    deviceType: thisDevice(),
    permission: () => Notification.permission,
    ask: () => Notification.requestPermission(),
    current: async () => described(await (await manager()).getSubscription()),
    subscribe: async (key) => {
      const made = await (await manager()).subscribe({ userVisibleOnly: true, applicationServerKey: key });
      const subscription = described(made);
      if (subscription === undefined) throw new Error("the browser's subscription has no keys");
      return subscription;
    },
    onMessage: (listener) => {
      const heard = (event: MessageEvent) => listener(event.data);
      serviceWorker.addEventListener("message", heard);
      return () => serviceWorker.removeEventListener("message", heard);
    },
  };
}

function described(subscription: PushSubscription | null): Subscription | undefined {
  const { endpoint, keys } = subscription?.toJSON() ?? {};
  if (subscription === null || endpoint === undefined || !keys?.["p256dh"] || !keys["auth"]) return undefined;
  return { endpoint, p256dh: keys["p256dh"], auth: keys["auth"], unsubscribe: () => subscription.unsubscribe() };
}
