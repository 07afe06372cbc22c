// A clock for the page's modules under Node: time passes only when told to, and the browser around is as good as none.
let now = 0;
let timers = [];
let count = 0;
const settle = () => new Promise((resolve) => setImmediate(resolve));

globalThis.setTimeout = (run, ms = 0) => {
  timers.push({ id: ++count, at: now + ms, run });
  return count;
};
globalThis.clearTimeout = (id) => {
  timers = timers.filter((timer) => timer.id !== id);
};
Object.defineProperty(globalThis, "performance", { value: { now: () => now } });
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };
globalThis.window = { addEventListener() {}, removeEventListener() {} };

/** Let `ms` pass, with all that is due in it. */
export async function pass(ms) {
  const end = now + ms;
  // Streams take a few turns of the loop to hand on what they hold.
  const rest = async () => {
    for (let turn = 0; turn < 20; turn += 1) await settle();
  };
  await rest();
  for (;;) {
    const due = timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at || a.id - b.id)[0];
    if (!due) break;
    clearTimeout(due.id);
    now = due.at;
    due.run();
    await rest();
  }
  now = end;
}

export const time = () => now;
