// Something the page shows of the server: loaded, kept fresh at most once a second, retried when a failure passes.

const GAP_MS = 1_000;
const FIRST_RETRY_MS = 2_000;
const LONGEST_RETRY_MS = 30_000;

/**
 * `load(signal)` asks the server. `show({data, error, busy})` draws: `data` is null before the first success, `error`
 * is that of the last try (with older data still there), `busy` while asking.
 */
export class Resource {
  #load;
  #show;
  #data = null;
  #error = null;
  #busy = false;
  #again = false;
  #startedAt = -Infinity;
  #timer = null;
  #abort = null;
  #retryMs = FIRST_RETRY_MS;
  #closed = false;

  constructor(load, show) {
    this.#load = load;
    this.#show = show;
    document.addEventListener("visibilitychange", this.#onVisible);
    window.addEventListener("online", this.#onOnline);
  }

  get data() {
    return this.#data;
  }

  /** Put in data that came another way, and draw it. */
  set(data) {
    this.#data = data;
    this.#draw();
  }

  /** Forget what was loaded, and load now. */
  restart({ keep = false } = {}) {
    this.#abort?.abort();
    this.#busy = this.#again = false;
    if (!keep) this.#data = null;
    this.#error = null;
    this.#retryMs = FIRST_RETRY_MS;
    this.#startedAt = -Infinity;
    this.#schedule(0);
  }

  /** Load again soon: many wishes within a second are one. */
  refresh() {
    if (this.#busy) this.#again = true;
    else if (this.#error?.retryAfterMs) return; // the server said when; that try is on its way
    else this.#schedule(Math.max(0, this.#startedAt + GAP_MS - performance.now()));
  }

  close() {
    this.#closed = true;
    document.removeEventListener("visibilitychange", this.#onVisible);
    window.removeEventListener("online", this.#onOnline);
    clearTimeout(this.#timer);
    this.#abort?.abort();
  }

  #onVisible = () => {
    if (!document.hidden && this.#again) this.refresh();
  };

  #onOnline = () => {
    if (this.#error?.kind === "offline") this.restart({ keep: true });
  };

  #schedule(ms) {
    clearTimeout(this.#timer);
    if (ms === 0) this.#run();
    else this.#timer = setTimeout(() => this.#run(), ms);
  }

  async #run() {
    if (this.#closed) return;
    if (document.hidden && this.#data !== null) {
      this.#again = true; // nobody looks; on return it is asked for
      return;
    }
    this.#again = false;
    this.#busy = true;
    this.#startedAt = performance.now();
    const abort = (this.#abort = new AbortController());
    if (this.#data === null) this.#draw();
    try {
      const data = await this.#load(abort.signal);
      if (abort.signal.aborted) return;
      this.#data = data;
      this.#error = null;
      this.#retryMs = FIRST_RETRY_MS;
    } catch (error) {
      if (abort.signal.aborted) return;
      if (error.kind === undefined) console.error(error); // a fault of ours: it must be seen
      this.#error = error;
    }
    this.#busy = false;
    this.#draw();
    this.#next();
  }

  #next() {
    if (this.#closed) return;
    if (this.#error?.passes) {
      this.#schedule(this.#error.retryAfterMs ?? this.#retryMs);
      this.#retryMs = Math.min(2 * this.#retryMs, LONGEST_RETRY_MS);
    } else if (this.#again) {
      this.refresh();
    }
  }

  #draw() {
    if (!this.#closed) this.#show({ data: this.#data, error: this.#error, busy: this.#busy });
  }
}
