// Says what changed to those who do not see it; one voice, so that a burst of changes is not a burst of speech.

const PAUSE_MS = 1_500;
let region = null;
let waiting = [];
let timer = null;

/** @param {HTMLElement} element an aria-live region */
export function announceIn(element) {
  region = element;
}

/**
 * Say `text` after a short pause; of several that wait, `summary(count)` says all in one.
 * @param {string} text
 * @param {(count: number) => string} [summary]
 */
export function announce(text, summary) {
  waiting.push(text);
  timer ??= setTimeout(() => {
    timer = null;
    if (region) region.textContent = waiting.length > 1 && summary ? summary(waiting.length) : waiting.at(-1);
    waiting = [];
  }, PAUSE_MS);
}
