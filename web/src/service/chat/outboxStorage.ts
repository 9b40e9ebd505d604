/** Where messages wait that are not sent yet: IndexedDB, so that they survive the tab; memory where there is none. */

import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import type { MessageKind } from "./model";

export interface OutboxFile {
  readonly blob: Blob;
  readonly name: string;
  readonly durationMs?: number;
}

/** A message that is on its way, or that failed and waits for its user. */
export interface OutboxEntry {
  /** The `client_msg_id`: the same in all attempts, so that it is sent once. UUIDv7: their order is that of the calls. */
  readonly id: string;
  readonly userId: string;
  readonly conversationId: string;
  readonly kind: Exclude<MessageKind, "system">;
  readonly content: string;
  readonly at: number;
  readonly important: boolean;
  readonly internal: boolean;
  readonly replyTo?: string;
  readonly mentions?: readonly string[];
  readonly file?: OutboxFile;
  /** Of the file, once it is on the server: it is not sent up twice. */
  readonly attachmentId?: string;
  /** Why it was refused for good. */
  readonly failure?: { readonly code: string; readonly message: string };
}

export interface OutboxStorage {
  /** Whether other tabs see the same entries. */
  readonly shared: boolean;
  all(userId: string): Promise<OutboxEntry[]>;
  put(entry: OutboxEntry): Promise<void>;
  delete(id: string): Promise<void>;
  close(): void;
}

interface Schema extends DBSchema {
  entries: { key: string; value: OutboxEntry; indexes: { user: string } };
}

/** Entries that are gone with the tab; also what a test uses. */
export function memoryStorage(): OutboxStorage {
  const entries = new Map<string, OutboxEntry>();
  return {
    shared: false,
    all: async (userId) => [...entries.values()].filter((entry) => entry.userId === userId),
    put: async (entry) => void entries.set(entry.id, entry),
    delete: async (id) => void entries.delete(id),
    close: () => entries.clear(),
  };
}

/** The browser's database; memory if it is closed to us (private mode, no space, a policy). */
export async function openStorage(name = "natter"): Promise<OutboxStorage> {
  try {
    return stored(
      await openDB<Schema>(name, 1, {
        upgrade: (database) => {
          database.createObjectStore("entries", { keyPath: "id" }).createIndex("user", "userId");
        },
        // A newer version of the page wants to change the database: this one must not be in its way.
        blocking: (_, __, event) => (event.target as IDBDatabase).close(),
      }),
    );
  } catch {
    return memoryStorage();
  }
}

function stored(database: IDBPDatabase<Schema>): OutboxStorage {
  return {
    shared: true,
    all: (userId) => database.getAllFromIndex("entries", "user", userId),
    put: async (entry) => void (await database.put("entries", entry)),
    delete: (id) => database.delete("entries", id),
    close: () => database.close(),
  };
}
