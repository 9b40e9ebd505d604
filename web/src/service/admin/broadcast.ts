/** What an admin writes for everybody, and what is still wrong with it. */

import type { BroadcastDraft, Role } from "./model";

export interface BroadcastForm {
  readonly title: string;
  readonly content: string;
  readonly type: string;
  readonly important: boolean;
  readonly audience: "everybody" | "some";
  readonly roles: readonly Role[];
}

export const EMPTY_BROADCAST: BroadcastForm = {
  title: "",
  content: "",
  type: "announcement",
  important: false,
  audience: "everybody",
  roles: [],
};

/** Types that this page suggests; an application may know others. */
export const BROADCAST_TYPES = ["announcement", "maintenance", "warning"] as const;
export const TITLE_MAX = 200;
export const CONTENT_MAX = 10_000;

const TYPE = /^[a-z][a-z0-9_]{0,63}$/;

export interface BroadcastProblems {
  readonly title?: "needed";
  readonly content?: "needed";
  readonly type?: "type_wrong";
  readonly roles?: "roles_needed";
}

export function problemsOf({ title, content, type, audience, roles }: BroadcastForm): BroadcastProblems {
  return {
    ...(title.trim() === "" && { title: "needed" as const }),
    ...(content.trim() === "" && { content: "needed" as const }),
    ...(!TYPE.test(type.trim()) && { type: "type_wrong" as const }),
    // Without a role it would go to everybody, which is what was not chosen.
    ...(audience === "some" && roles.length === 0 && { roles: "roles_needed" as const }),
  };
}

export function draftOf({ title, content, type, important, audience, roles }: BroadcastForm): BroadcastDraft {
  return {
    title: title.trim(),
    content: content.trim(),
    type: type.trim(),
    is_important: important,
    roles: audience === "some" ? [...roles] : [],
  };
}
