/** Object URLs of attachments: read once, shared by all who show them, freed by the last. */

export interface ObjectUrls {
  create(blob: Blob): string;
  revoke(url: string): void;
}

interface Held {
  users: number;
  readonly url: Promise<string>;
}

export class Files {
  readonly #read: (id: string) => Promise<Blob>;
  readonly #urls: ObjectUrls;
  readonly #held = new Map<string, Held>();

  constructor(read: (id: string) => Promise<Blob>, urls: ObjectUrls) {
    this.#read = read;
    this.#urls = urls;
  }

  url(id: string): Promise<string> {
    let held = this.#held.get(id);
    if (held === undefined) {
      held = { users: 0, url: this.#read(id).then((blob) => this.#urls.create(blob)) };
      this.#held.set(id, held);
      const made = held;
      // A failure is not kept: whoever asks again asks the server again.
      held.url.catch(() => this.#held.get(id) === made && this.#held.delete(id));
    }
    held.users += 1;
    return held.url;
  }

  release(id: string): void {
    const held = this.#held.get(id);
    if (held === undefined) return;
    held.users -= 1;
    if (held.users <= 0) this.#free(id, held);
  }

  stop(): void {
    for (const [id, held] of [...this.#held]) this.#free(id, held);
  }

  #free(id: string, held: Held): void {
    this.#held.delete(id);
    held.url.then((url) => this.#urls.revoke(url)).catch(() => undefined);
  }
}
