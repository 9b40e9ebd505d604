/** A person's or a conversation's picture: initials on a colour that stays theirs, and a dot for presence. */

import { Avatar, Indicator } from "@mantine/core";
import { IconUsers } from "@tabler/icons-react";
import { initials } from "./format";

/** Shades on which white text has 4.5 : 1. */
const COLORS = ["grape.8", "violet.8", "indigo.8", "blue.8", "cyan.9", "teal.9", "pink.8", "red.8"];

interface Props {
  readonly name: string;
  /** What the colour is made of: an id, which stays when a name changes. */
  readonly id: string;
  /** undefined: no dot. */
  readonly online?: boolean | undefined;
  readonly group?: boolean;
  readonly size?: number;
}

/** Decoration: whoever uses it says name and presence in words, too. */
export function PersonAvatar({ name, id, online, group = false, size = 40 }: Props) {
  return (
    <Indicator
      position="bottom-end"
      offset={Math.round(size / 8)}
      size={Math.max(8, Math.round(size / 3.6))}
      color={online ? "green.6" : "gray.6"}
      withBorder
      zIndex={1}
      disabled={online !== true}
      aria-hidden
    >
      <Avatar size={size} radius="xl" variant="filled" color={colorOf(id)}>
        {group ? <IconUsers size={Math.round(size * 0.5)} /> : initials(name)}
      </Avatar>
    </Indicator>
  );
}

function colorOf(id: string): string {
  let hash = 0;
  for (const letter of id) {
    hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) >>> 0;
  }
  return COLORS[hash % COLORS.length] ?? "grape.8";
}
