// The stream of changes: read for as long as the page lives, taken up again where it broke off.
import { request } from "./api.js";
import { EventParser } from "./sse.js";

// The server sends a sign of life every few seconds; a connection that is silent for so long is dead.
const SILENCE_MS = 60_000;
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 30_000;

/**
 * What it tells `listener`: `onState("connecting"|"live"|"offline")`; `onChange(change)` as the API has it;
 * `onReset()` when changes may have been missed; `onSignedOut(error)`.
 */
export class ChangeStream {
  #listener;
  #lastId = null;
  #waitMs = FIRST_WAIT_MS;
  #abort = null;
  #wake = () => {};
  #closed = false;

  constructor(listener) {
    this.#listener = listener;
  }

  /** Read until `close()`. */
  async run() {
    window.addEventListener("online", this.#hurry);
    window.addEventListener("offline", this.#drop);
    while (!this.#closed) {
      const waitMs = await this.#readOnce();
      if (this.#closed) break;
      await new Promise((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, waitMs);
      });
    }
  }

  close() {
    this.#closed = true;
    window.removeEventListener("online", this.#hurry);
    window.removeEventListener("offline", this.#drop);
    this.#drop();
    this.#wake();
  }

  #hurry = () => {
    this.#waitMs = FIRST_WAIT_MS;
    this.#wake();
  };

  #drop = () => this.#abort?.abort();

  /** One connection, from first to last; how long to wait before the next, in ms. */
  async #readOnce() {
    this.#abort = new AbortController();
    if (this.#waitMs === FIRST_WAIT_MS) this.#listener.onState("connecting");
    let retryAfterMs = null;
    try {
      await this.#read(this.#abort);
    } catch (error) {
      if (this.#closed) return 0;
      if (error.kind === "signed-out") {
        this.close();
        this.#listener.onSignedOut(error);
        return 0;
      }
      retryAfterMs = error.retryAfterMs ?? null;
    }
    if (!this.#closed) this.#listener.onState("offline");
    // Spread, so that not every page comes back at the same moment.
    const waitMs = retryAfterMs ?? this.#waitMs * (0.75 + Math.random() / 2);
    this.#waitMs = Math.min(2 * this.#waitMs, LONGEST_WAIT_MS);
    return waitMs;
  }

  async #read(abort) {
    let silence = setTimeout(() => abort.abort(), SILENCE_MS);
    try {
      const headers = { Accept: "text/event-stream", ...(this.#lastId === null ? {} : { "Last-Event-ID": this.#lastId }) };
      const response = await request("changes", {}, { signal: abort.signal, headers });
      if (this.#closed) return; // it may have been on its way when it was closed
      this.#waitMs = FIRST_WAIT_MS;
      this.#listener.onState("live");
      // Without an id the server cannot know what was missed before it began to listen for us.
      if (this.#lastId === null) this.#listener.onReset();
      const parser = new EventParser((event) => this.#take(event), (ms) => (this.#waitMs = Math.min(ms, LONGEST_WAIT_MS)));
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        clearTimeout(silence);
        silence = setTimeout(() => abort.abort(), SILENCE_MS);
        parser.feed(part.value);
      }
    } finally {
      clearTimeout(silence);
    }
  }

  #take({ type, id, data }) {
    if (id !== undefined) this.#lastId = id || null; // an empty id takes back the one before
    if (type === "reset") return this.#listener.onReset();
    if (type !== "change") return undefined;
    try {
      this.#listener.onChange(JSON.parse(data));
    } catch {
      // What cannot be read may have been anything.
      this.#listener.onReset();
    }
    return undefined;
  }
}
