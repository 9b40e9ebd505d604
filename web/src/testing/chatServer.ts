/** A chat-api and an edge in memory, as far as the store's tests need them; for tests alone. */

import type { ServerFrame } from "../service/websocket/types";
import { ScriptedConnection } from "./connection";

interface Message {
  id: string;
  conversation_id: string;
  seq: number;
  sender_id: string;
  sender_type: "chat";
  sender_name: string;
  message_type: string;
  content: string;
  client_msg_id: string;
  created_at: string;
  edited_at?: string;
  deleted_at?: string;
}

const C = "c1";
const NAMES: Readonly<Record<string, string>> = { anna: "Anna", ben: "Ben" };

export class ChatServer {
  readonly messages: Message[] = [];
  readonly requests: string[] = [];
  readonly reads: number[] = [];
  /** What the next request that would change something gets instead of an answer. */
  failure: { status: number; code: string } | "network" | undefined;
  /** Whether frames reach the clients. */
  live = true;
  readonly connections = new Set<ScriptedConnection>();
  #events: { subject: string; seq: number; type: string; data: object }[] = [];
  #seq = 0;

  /** Somebody says something; the same id says nothing twice. */
  say(senderId: string, content: string, clientMsgId = `${senderId}-${this.#seq + 1}`, type = "text"): Message {
    const known = this.messages.find((one) => one.client_msg_id === clientMsgId);
    if (known !== undefined) return known;
    this.#seq += 1;
    const message: Message = {
      id: `m${this.#seq}`,
      conversation_id: C,
      seq: this.#seq,
      sender_id: senderId,
      sender_type: "chat",
      sender_name: NAMES[senderId] ?? senderId,
      message_type: type,
      content,
      client_msg_id: clientMsgId,
      created_at: new Date(1_700_000_000_000 + this.#seq * 1000).toISOString(),
    };
    this.messages.push(message);
    this.#record("message.created", "new_message", message);
    return message;
  }

  frame(frame: ServerFrame): void {
    for (const connection of this.connections) connection.say(frame);
  }

  /** A connection of one client to this server. */
  connect(): ScriptedConnection {
    const connection = new ScriptedConnection((action, data) => this.#command(action, data));
    this.connections.add(connection);
    return connection;
  }

  readonly fetch = async (request: Request): Promise<Response> => {
    const { pathname, searchParams } = new URL(request.url);
    this.requests.push(`${request.method} ${pathname}`);
    const { failure } = this;
    if (failure !== undefined && request.method !== "GET") {
      this.failure = undefined;
      if (failure === "network") throw new TypeError("network");
      return json({ code: failure.code, detail: failure.code }, failure.status);
    }
    return this.#answer(request, pathname.replace("/v1/", ""), searchParams);
  };

  async #answer(request: Request, path: string, query: URLSearchParams): Promise<Response> {
    const body = request.method === "GET" || request.method === "DELETE" ? {} : await request.json();
    switch (`${request.method} ${path}`) {
      case "GET sync":
        return json(this.#sync(query.get("cursor")));
      case `GET conversations/${C}/messages`:
        return json(this.#page(query));
      case `GET conversations/${C}/events`: {
        const events = this.#events.filter((event) => event.seq > Number(query.get("after_seq")));
        return json({ events, last_seq: this.#seq });
      }
      case `GET conversations/${C}`:
        return json({
          ...this.#conversation(),
          participants: ["anna", "ben"].map((id) => ({ user_id: id, name: NAMES[id], joined_at: "", read_seq: 0 })),
        });
      case `GET conversations/${C}/cursors`:
        return json({ cursors: [] });
      case `POST conversations/${C}/messages`:
        return json(this.say("anna", body.content, body.client_msg_id, body.message_type), 201);
      case "GET notifications":
        return json({ notifications: [] });
      case "GET consults":
        return json({ consults: [] });
      default:
        return this.#change(request.method, path, body);
    }
  }

  #change(method: string, path: string, body: { content?: string; seq?: number }): Response {
    const message = this.messages.find((one) => path === `messages/${one.id}`);
    if (message === undefined) return json({ code: "not_found", detail: path }, 404);
    if (method === "PATCH") Object.assign(message, { content: body.content, edited_at: new Date().toISOString() });
    else Object.assign(message, { content: "", deleted_at: new Date().toISOString() });
    this.#record(method === "PATCH" ? "message.edited" : "message.deleted", "message_updated", message);
    return json(message);
  }

  #command(action: string, data: Readonly<Record<string, unknown>>): Record<string, unknown> {
    if (action === "mark_read") this.reads.push(Number(data.seq));
    if (action === "presence_subscribe") return { users: [{ user_id: "ben", online: true, device_types: ["mobile"] }] };
    if (action !== "send_message") return {};
    const { id, seq } = this.say("anna", String(data.content), String(data.client_msg_id), String(data.message_type));
    return { message_id: id, conversation_id: C, seq, client_msg_id: data.client_msg_id, duplicate: false };
  }

  #record(type: string, action: string, message: Message): void {
    const seq = this.#events.length + 1;
    this.#seq = Math.max(this.#seq, seq);
    const data = { ...message };
    this.#events.push({ subject: `conversation:${C}`, seq, type, data });
    if (this.live) this.frame({ action, data, stream: `conversation:${C}`, seq });
  }

  #sync(cursor: string | null): object {
    const next_cursor = `at ${this.#events.length}`;
    if (cursor === null) return { conversations: [this.#conversation()], user_seq: 0, next_cursor, has_more: false };
    const after = Number(cursor.replace("at ", ""));
    return {
      events: this.#events.filter((event) => event.seq > after),
      next_cursor: `${next_cursor} `,
      has_more: false,
    };
  }

  #page(query: URLSearchParams): object {
    const before = Number(query.get("before_seq") ?? Number.POSITIVE_INFINITY);
    const found = this.messages.filter((message) => message.seq < before).slice(-Number(query.get("limit")));
    return { messages: found, last_seq: this.#seq };
  }

  #conversation(): object {
    return {
      id: C,
      owner_id: "anna",
      last_seq: this.#seq,
      read_seq: 0,
      unread_count: this.messages.filter((message) => message.sender_id !== "anna").length,
      last_message: this.messages.at(-1) ?? null,
      created_at: "2026-01-01T00:00:00Z",
      last_activity_at: "2026-01-01T00:00:00Z",
    };
  }
}

function json(body: unknown, status = 200): Response {
  return new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json" } });
}
