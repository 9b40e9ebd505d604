/** How pages are built, and where the development server finds a Natter; `make dev` runs one. */

import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

/** What `make dev` listens on: chat-api answers everything but sockets, which are an edge's. */
const API = process.env["NATTER_DEV_API"] ?? "http://127.0.0.1:8000";
const EDGE = process.env["NATTER_DEV_EDGE"] ?? "http://127.0.0.1:8001";

export default defineConfig({
  plugins: [react()],
  server: {
    host: "127.0.0.1",
    proxy: {
      "/v1/ws": { target: EDGE, ws: true },
      "/v1": API,
      "/docs": API,
    },
  },
  build: {
    target: "es2022",
    // The policy allows no script in a page, and no `data:` but for images.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 600,
    rolldownOptions: {
      output: {
        codeSplitting: {
          // What changes seldom is fetched seldom. Charts are a chunk of their own: only /admin and /test-websocket ask for it.
          groups: [
            {
              name: "react",
              test: /node_modules[\\/](react|react-dom|scheduler|react-router|use-sync-external-store)[\\/]/,
              priority: 3,
            },
            { name: "ui", test: /node_modules[\\/](@mantine[\\/](?!charts)|@floating-ui|clsx)/, priority: 2 },
            {
              name: "charts",
              test: /node_modules[\\/](recharts|d3-[a-z-]+|victory-vendor|@mantine[\\/]charts)[\\/]/,
              priority: 1,
            },
          ],
        },
      },
    },
  },
  test: {
    exclude: ["e2e/**", "node_modules/**"],
    // Whoever needs a DOM says so at the top of its file.
    environment: "node",
    restoreMocks: true,
    // A machine that does other things meanwhile is slow, not wrong.
    testTimeout: 30_000,
  },
});
