/** What this installation is: told at run time by the server's /config.json, else at build time, else it is all one origin. */

export interface AppConfig {
  /** Of chat-api, without `/v1`; empty for the page's own origin. */
  readonly apiUrl: string;
  /** Of the edges; none: `/v1/ws` of the page's own origin. */
  readonly wsUrls: readonly string[];
  /** The key to which pages subscribe for Web Push; undefined: none is offered. */
  readonly vapidPublicKey?: string;
  /** Whether /login shows the demo accounts. */
  readonly demo: boolean;
}

/** What was said when the pages were built. */
export interface BuildSettings {
  readonly VITE_NATTER_API_URL?: string;
  /** With commas, if there are several edges. */
  readonly VITE_NATTER_WS_URL?: string;
  readonly DEV: boolean;
}

const TIMEOUT_MS = 5_000;

/** Reads /config.json; a server that has none is no reason not to start. */
export async function loadConfig(
  build: BuildSettings,
  ask: (url: string, init: RequestInit) => Promise<Response> = fetch,
): Promise<AppConfig> {
  return mergeConfig(build, await served(ask));
}

async function served(ask: (url: string, init: RequestInit) => Promise<Response>): Promise<unknown> {
  try {
    const answer = await ask("/config.json", { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
    return answer.ok ? await answer.json() : undefined;
  } catch {
    return undefined;
  }
}

/** The server's word goes first; what is no address of that kind is ignored. */
export function mergeConfig(build: BuildSettings, told: unknown): AppConfig {
  const said = (typeof told === "object" && told !== null ? told : {}) as Readonly<Record<string, unknown>>;
  const urls = Array.isArray(said["ws_urls"]) ? said["ws_urls"].filter(isSocketUrl) : [];
  const built = (build.VITE_NATTER_WS_URL ?? "").split(",").map((url) => url.trim());
  const key = said["vapid_public_key"];
  return {
    apiUrl: nonEmpty(said["api_url"]) ?? nonEmpty(build.VITE_NATTER_API_URL) ?? "",
    wsUrls: urls.length > 0 ? urls : built.filter(isSocketUrl),
    demo: said["demo"] === true || build.DEV,
    ...(typeof key === "string" && key !== "" && { vapidPublicKey: key }),
  };
}

function nonEmpty(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function isSocketUrl(value: unknown): value is string {
  return typeof value === "string" && /^wss?:\/\/[^\s/]/.test(value);
}
