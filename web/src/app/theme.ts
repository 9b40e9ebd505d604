/** How Natter looks: one calm colour, and Mantine's greys where they are readable (WCAG AA) in both schemes. */

import { type CSSVariablesResolver, createTheme, type MantineColorsTuple } from "@mantine/core";

const lagoon: MantineColorsTuple = [
  "#e9f7f5",
  "#d5eeea",
  "#a9dcd5",
  "#79c9be",
  "#52b8ab",
  "#37a396",
  "#1b8b7f",
  "#0f766c",
  "#0a665d",
  "#07524b",
];

export const theme = createTheme({
  colors: { lagoon },
  primaryColor: "lagoon",
  primaryShade: { light: 7, dark: 7 },
  defaultRadius: "md",
  cursorType: "pointer",
  respectReducedMotion: true,
  fontFamily:
    'Inter, ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif',
  headings: { fontWeight: "650" },
});

/** Mantine's own dimmed and placeholder greys have less than 4.5 : 1 on its backgrounds. */
export const cssVariablesResolver: CSSVariablesResolver = (resolved) => ({
  variables: {},
  light: {
    "--mantine-color-dimmed": resolved.colors.gray[7],
    "--mantine-color-placeholder": "#667079",
    "--mantine-color-error": resolved.colors.red[8],
  },
  dark: {
    "--mantine-color-dimmed": "#a9adb3",
    "--mantine-color-placeholder": "#9a9ea5",
    "--mantine-color-error": resolved.colors.red[4],
  },
});
