// The page from first to last: token, session, texts, frame, stream, and the view that the address names.
import { takeToken, forgetToken } from "./token.js";
import { getJson } from "./api.js";
import { h } from "./dom.js";
import { loadTexts, t } from "./texts.js";
import { buildFrame } from "./frame.js";
import { route } from "./router.js";
import { ChangeStream } from "./stream.js";
import { ListView } from "./list.js";
import { DetailsView } from "./details.js";
import { errorBox, loadingBox, signedOutBox } from "./states.js";

const RETRY_MS = 5_000;

class App {
  #frame = null;
  #session = null;
  #stream = null;
  #view = null;
  #started = 0; // counts starts, so that what an older one still waits for comes to nothing

  async start() {
    const start = ++this.#started;
    this.#stop();
    let session;
    try {
      await loadTexts();
      this.#showFrame({ demo: false, viewer: {} });
      this.#showState(loadingBox());
      session = await getJson("session");
      await loadTexts(session.languages);
    } catch (error) {
      if (start === this.#started) this.#failed(error);
      return;
    }
    if (start !== this.#started) return;
    this.#session = session;
    this.#showFrame(session);
    this.#show();
    this.#stream = new ChangeStream({
      onState: (state) => this.#frame.setConnection(state),
      onChange: (change) => this.#view?.onChange(change),
      onReset: () => this.#view?.refresh(),
      onSignedOut: (error) => this.signedOut(error),
    });
    this.#stream.run();
  }

  /** The address changed. */
  onHash() {
    if (takeToken()) this.start();
    else if (this.#session) this.#show();
  }

  signedOut(error) {
    forgetToken();
    this.#stop();
    this.#frame.setConnection(null);
    this.#showState(signedOutBox(error.signInUrl ?? this.#session?.sign_in_url ?? null));
    this.#session = null;
    document.title = t("page.title", { name: t("state.signed-out.title") });
  }

  #showFrame(session) {
    this.#frame = buildFrame(document.getElementById("app"), session);
  }

  /** A state box in place of a view. */
  #showState(box) {
    this.#frame.main.replaceChildren(h("h1", {}, t("list.title")), box);
  }

  #stop() {
    this.#stream?.close();
    this.#view?.close();
    this.#stream = this.#view = null;
  }

  #failed(error) {
    if (!this.#frame) {
      console.error(error); // without texts there are no words for it
      document.getElementById("app").textContent = "The page could not be loaded. Please reload it.";
    } else if (error.kind === "signed-out") {
      this.signedOut(error);
    } else {
      this.#showState(errorBox(error, () => this.start()));
      const start = this.#started;
      if (error.passes) setTimeout(() => start === this.#started && this.start(), error.retryAfterMs ?? RETRY_MS);
    }
  }

  #show() {
    const wanted = route();
    if (this.#view?.takes(wanted)) return;
    const moved = this.#view !== null;
    this.#view?.close();
    const View = wanted.view === "details" ? DetailsView : ListView;
    this.#view = new View(wanted, {
      session: this.#session,
      onSignedOut: (error) => this.signedOut(error),
      setTitle: (name) => (document.title = name ? t("page.title", { name }) : t("list.title")),
    });
    this.#frame.setPlace(wanted);
    this.#frame.main.replaceChildren(this.#view.element);
    // Where one is, is told by the heading that gets the focus; at the first load the browser tells it.
    if (moved) this.#view.arrive();
  }
}

takeToken();
const app = new App();
window.addEventListener("hashchange", () => app.onHash());
app.start();
