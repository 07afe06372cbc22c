// Reads `text/event-stream`. The browser's own EventSource cannot send the Authorization header.

/** A parser that is fed text as it comes; `onEvent({type, id, data})`, `onRetry(ms)`. */
export class EventParser {
  #rest = "";
  #type = "";
  #data = [];
  #id;
  #onEvent;
  #onRetry;

  constructor(onEvent, onRetry = () => {}) {
    this.#onEvent = onEvent;
    this.#onRetry = onRetry;
  }

  feed(text) {
    this.#rest += text;
    // A line ends with CR LF, LF or CR; a CR at the very end may be the first half of CR LF, so it waits.
    const lines = this.#rest.split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop();
    for (const line of lines) this.#line(line);
  }

  #line(line) {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) return; // a comment: the server's sign of life
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.#type = value;
    else if (field === "data") this.#data.push(value);
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.#onRetry(Number(value));
  }

  #dispatch() {
    const event = { type: this.#type || "message", id: this.#id, data: this.#data.join("\n") };
    const empty = this.#data.length === 0;
    this.#type = "";
    this.#data = [];
    if (!empty) this.#onEvent(event);
  }
}
