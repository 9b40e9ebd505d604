/** Starts the application: what this installation is, then texts, then pages. */

import "@mantine/core/styles.css";
import "@mantine/notifications/styles.css";
import "./app.css";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { deviceId } from "../service/device";
import { createNatter } from "../service/natter";
import { browserPush } from "../service/push";
import { App } from "./App";
import { loadConfig } from "./config";
import { startTexts } from "./i18n";

async function start(root: HTMLElement): Promise<void> {
  const texts = startTexts();
  const config = await loadConfig(import.meta.env);
  const natter = createNatter({ apiUrl: config.apiUrl, wsUrls: config.wsUrls });
  const push = browserPush(natter.api, deviceId(localStorage), config.vapidPublicKey);
  createRoot(root).render(
    <StrictMode>
      <App services={{ config, natter, push }} texts={texts} />
    </StrictMode>,
  );
}

const root = document.getElementById("root");
if (root !== null) void start(root);
