/** `createChatStore`: one user's chat on this device, as pages use it. */

import { type ChatDeps, Engine } from "./engine";
import { uuid7 } from "./ids";
import type { ChatStore } from "./model";
import { entryOf } from "./outgoing";
import { conversationOf, touch } from "./records";
import { advanceRead, applyConversation, applyMessage } from "./reduce";

export type { ChatDeps } from "./engine";

/** A `ChatStore` that runs until it is stopped. The connection is its caller's: it may have other uses. */
export interface ChatSession extends ChatStore {
  /** Begins; once. */
  run(): void;
  /** The end: frees what it holds. What is not sent yet is sent by another tab, or the next time. */
  stop(): void;
}

export function createChatStore(deps: ChatDeps): ChatSession {
  const engine = new Engine(deps);
  const { records, snapshots, outbox, signals, files } = engine;
  return {
    run: () => engine.run(),
    stop: () => engine.stop(),
    subscribe: (listener) => snapshots.subscribe(listener),
    snapshot: () => snapshots.current,
    ...conversations(engine),
    ...changes(engine),
    send(conversationId, message) {
      const wall = deps.clock.wall();
      outbox.add(entryOf(deps.me.userId, conversationId, uuid7(wall), wall, message));
      signals.stopTyping(conversationId);
      snapshots.flush();
    },
    retry(key) {
      outbox.retry(key);
      snapshots.flush();
    },
    discard(key) {
      outbox.discard(key);
      snapshots.flush();
    },
    typing: (conversationId) => signals.typing(conversationId),
    markRead(conversationId, seq) {
      const conversation = records.conversations.get(conversationId);
      if (conversation === undefined || !advanceRead(records, conversation, seq)) return;
      signals.read(conversationId, seq);
      snapshots.flush();
    },
    drawn({ id, conversationId, seq }) {
      deps.log("rendered", { conversation: conversationId, message: id, seq });
    },
    attachmentUrl: (attachmentId) => files.url(attachmentId),
    release: (attachmentId) => files.release(attachmentId),
    consult: engine.consults.actions,
  };
}

/** What is looked at. */
function conversations(engine: Engine): Pick<ChatStore, "open" | "close" | "loadOlder"> {
  const { records, history, details, signals, snapshots } = engine;
  return {
    open(conversationId) {
      const conversation = conversationOf(records, conversationId);
      conversation.opened += 1;
      if (conversation.opened === 1) {
        conversation.openedAtSeq = conversation.readSeq;
        conversation.detailed = false;
      }
      details.want(conversation, true);
      engine.load(conversation);
      signals.follow();
      touch(records, conversationId);
      snapshots.flush();
    },
    close(conversationId) {
      const conversation = records.conversations.get(conversationId);
      if (conversation === undefined || conversation.opened === 0) return;
      conversation.opened -= 1;
      signals.stopTyping(conversationId);
      if (conversation.opened === 0) history.trim(conversation);
      snapshots.changed();
    },
    async loadOlder(conversationId) {
      const conversation = conversationOf(records, conversationId);
      if (conversation.loaded) await history.older(conversation);
      else await history.load(conversation);
    },
  };
}

/** What is asked of the server, one request each; rejects with `ApiError`, and has changed nothing then. */
function changes(engine: Engine): Pick<ChatStore, "edit" | "remove" | "start" | "mute"> {
  const { records, snapshots } = engine;
  const { api, clock, me } = engine.deps;
  const pairWith = (userId: string): string | undefined => {
    for (const { id, people, title, member, consult } of records.conversations.values()) {
      const pair = people.size === 2 && people.has(userId) && people.has(me.userId);
      if (pair && member && title === undefined && consult === undefined) return id;
    }
    return undefined;
  };
  return {
    async edit(messageId, content) {
      const params = { path: { message_id: messageId } };
      applyMessage(
        records,
        await api.call((client) => client.PATCH("/v1/messages/{message_id}", { params, body: { content } })),
        false,
      );
      snapshots.flush();
    },
    async remove(messageId) {
      const params = { path: { message_id: messageId } };
      applyMessage(records, await api.call((client) => client.DELETE("/v1/messages/{message_id}", { params })), false);
      snapshots.flush();
    },
    async start(userIds, title) {
      const [only, ...more] = userIds;
      const known = only !== undefined && more.length === 0 && title === undefined ? pairWith(only) : undefined;
      if (known !== undefined) return known;
      const params = { header: { "Idempotency-Key": uuid7(clock.wall()) } };
      const body = { participant_ids: [...userIds], ...(title !== undefined && { title }) };
      const told = await api.call((client) => client.POST("/v1/conversations", { params, body }));
      applyConversation(records, told);
      engine.joined(told.id, told.last_seq);
      return told.id;
    },
    async mute(conversationId, muted) {
      const params = { path: { conversation_id: conversationId } };
      const told = await api.call((client) =>
        client.PUT("/v1/conversations/{conversation_id}/mute", { params, body: { muted } }),
      );
      conversationOf(records, conversationId).muted = told.muted;
      touch(records, conversationId);
      snapshots.flush();
    },
  };
}
