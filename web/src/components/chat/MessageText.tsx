/** A message's text as text: nothing in it is markup; only addresses of the web become links. */

import { Anchor } from "@mantine/core";
import { Fragment } from "react";

const ADDRESS = /https?:\/\/[^\s<>"'，。）】]+/gu;
/** What ends a sentence, not an address. */
const TRAILING = /[.,;:!?)\]}]+$/u;

export function MessageText({ text }: { readonly text: string }) {
  return parts(text).map(({ value, link, at }) =>
    link ? (
      <Anchor
        key={at}
        href={value}
        target="_blank"
        rel="noopener noreferrer nofollow"
        inherit
        underline="always"
        c="inherit"
      >
        {value}
      </Anchor>
    ) : (
      <Fragment key={at}>{value}</Fragment>
    ),
  );
}

interface Part {
  readonly value: string;
  readonly link: boolean;
  readonly at: number;
}

function parts(text: string): Part[] {
  const found: Part[] = [];
  let end = 0;
  for (const match of text.matchAll(ADDRESS)) {
    const value = match[0].replace(TRAILING, "");
    found.push({ value: text.slice(end, match.index), link: false, at: end });
    found.push({ value, link: true, at: match.index });
    end = match.index + value.length;
  }
  found.push({ value: text.slice(end), link: false, at: end });
  return found.filter((part) => part.value !== "");
}
