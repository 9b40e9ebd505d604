/** The service worker: shows what the notifier pushes, and opens the conversation when somebody clicks it. Caches nothing. */

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("push", (event) => {
  const push = parsed(event.data);
  if (push !== undefined) event.waitUntil(shown(push));
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(opened(event.notification.data));
});

// The browser has another subscription for us. No token is here to tell the server: the next page that is opened does.
self.addEventListener("pushsubscriptionchange", (event) => {
  const options = event.oldSubscription?.options;
  if (options !== undefined) event.waitUntil(self.registration.pushManager.subscribe(options).catch(() => undefined));
});

function parsed(data) {
  try {
    const push = data.json();
    return typeof push === "object" && push !== null ? push : undefined;
  } catch {
    return undefined;
  }
}

async function shown(push) {
  const withdrawn = Array.isArray(push.retract) ? push.retract : [];
  for (const one of await self.registration.getNotifications()) {
    if (withdrawn.includes(one.data?.group)) one.close();
  }
  if (push.kind === "alert") {
    await self.registration.showNotification(String(push.title ?? ""), {
      body: String(push.content ?? ""),
      // A push that arrives twice is shown once.
      tag: push.tag,
      icon: "/icon.svg",
      data: { conversation_id: push.data?.conversation_id, group: push.group, push_id: push.push_id },
    });
    await tellPages({ natter: "shown", push_id: push.push_id });
  }
  await badge(push.badge);
}

async function badge(count) {
  if (typeof count !== "number") return;
  // Decoration: a browser without it, or that refuses, shows the notification all the same.
  await self.navigator.setAppBadge?.(count).catch(() => undefined);
}

async function opened(data) {
  const conversation = UUID.test(data?.conversation_id ?? "") ? data.conversation_id : undefined;
  const pages = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const chat = pages.find((page) => new URL(page.url).pathname.startsWith("/chat")) ?? pages[0];
  if (chat === undefined) {
    await self.clients.openWindow(conversation === undefined ? "/chat" : `/chat/${conversation}`);
    return;
  }
  if (conversation !== undefined) chat.postMessage({ natter: "open", conversation_id: conversation });
  await chat.focus();
}

async function tellPages(message) {
  for (const page of await self.clients.matchAll({ type: "window" })) page.postMessage(message);
}
