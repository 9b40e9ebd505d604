/** What kind of device this is, and the name under which it stays known. */

import type { DeviceType } from "./chat/model";

/** What is asked of a browser to tell the type of its device. */
export interface DeviceSigns {
  readonly userAgent: string;
  /** Fingers that the screen can tell apart. */
  readonly maxTouchPoints: number;
  /** `navigator.userAgentData.mobile`, where there is one. */
  readonly mobile?: boolean;
}

const TABLET = /iPad|Tablet|PlayBook|Silk(?!.*Mobile)|Android(?!.*Mobile)/i;
const MOBILE = /iPhone|iPod|Android.*Mobile|Windows Phone|BlackBerry|Opera Mini|Mobile/i;

/** Mobile, tablet or desktop. */
export function deviceType(signs: DeviceSigns): DeviceType {
  if (TABLET.test(signs.userAgent)) return "tablet";
  if (signs.mobile === true || MOBILE.test(signs.userAgent)) return "mobile";
  // An iPad says that it is a Mac; no Mac has a screen for several fingers.
  if (/Macintosh/.test(signs.userAgent) && signs.maxTouchPoints > 1) return "tablet";
  return "desktop";
}

/** The type of the device that this page runs on. */
export function thisDevice(): DeviceType {
  const { userAgent, maxTouchPoints } = navigator;
  const { userAgentData } = navigator as { userAgentData?: { mobile?: boolean } };
  return deviceType({
    userAgent,
    maxTouchPoints,
    ...(userAgentData?.mobile !== undefined && { mobile: userAgentData.mobile }),
  });
}

const KEY = "natter.device";

/**
 * The name of this browser as a device, made once and kept: pushes go to it. A storage that is closed to us (private mode,
 * blocked cookies) gives a new name each time, which costs nothing but a push to a device that is no more.
 */
export function deviceId(storage: Pick<Storage, "getItem" | "setItem"> | undefined): string {
  try {
    const known = storage?.getItem(KEY);
    if (known !== null && known !== undefined && /^[\w.:-]{1,64}$/.test(known)) return known;
    const made = `web-${crypto.randomUUID()}`;
    storage?.setItem(KEY, made);
    return made;
  } catch {
    return `web-${crypto.randomUUID()}`;
  }
}
