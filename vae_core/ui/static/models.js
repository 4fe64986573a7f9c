// Notices when a run gets its first model or a better one: tells Gradio's drop-down and the tabs.

import { address, ask, chooseModel, model } from "./studio.js";

const EVERY_MILLISECONDS = 4000;
let known = null;

export function mount(element, trigger) {
  setInterval(() => look(trigger).catch(() => {}), EVERY_MILLISECONDS);
}

async function look(trigger) {
  if (document.hidden) return;
  const { models } = await ask(address("models"));
  const listing = models.map(({ run, state }) => `${run} ${state}`).join();
  const current = model();
  const now = current && models.find(({ run }) => run === current.run);
  const isGone = current && !now;
  if (isGone || (known !== null && listing !== known)) trigger("change");
  known = listing;
  if (now && now.version !== current.version) await chooseModel(now.run);
}
