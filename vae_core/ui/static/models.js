// Notices when a run gets its first model or a better one: tells Gradio's drop-down and the tabs.

import { Latest, address, ask, isChoosingModel, model, onModel, onRefusal, refreshModel, retryModel, tellProblem } from "./studio.js";

const EVERY_MILLISECONDS = 4000;
const listeners = [];
const versionListeners = [];
let known = null;
let runs = [];
let gone = ""; // the name of the chosen run that is not there any more

/** Calls the listener with the names of the runs that have a model, once they are known and whenever they are others. */
export function onRuns(listener) {
  listeners.push(listener);
  if (known !== null) listener(runs);
}

/** Calls the listener with the version of each run's model, by its name, whenever the server has been asked. */
export function onVersions(listener) {
  versionListeners.push(listener);
}

export function mount(element, trigger) {
  const question = new Latest(() => askForModels(trigger).catch(() => {})); // a slow server is not asked twice at once
  const askAgain = () => question.submit();
  onModel(({ run }) => {
    if (gone && run !== gone) tellProblem(`${gone} is no longer here: it was deleted or renamed. This is ${run}.`);
    gone = "";
  });
  onRefusal(() => trigger("change"));
  setInterval(askAgain, EVERY_MILLISECONDS);
  askAgain();
}

/** For Gradio: the model that its drop-down is to show, "" for the one that it shows. */
export function modelToShow(shown) {
  const run = model()?.run ?? shown;
  const stays = isChoosingModel() || (run === shown && run !== gone);
  return [run && stays ? "" : run];
}

async function askForModels(trigger) {
  if (document.hidden) return;
  const { models } = await ask(address("models"));
  const listing = models.map(({ run, state }) => `${run} ${state}`).join();
  const current = model();
  const now = current && models.find(({ run }) => run === current.run);
  const isGone = current && !now && !isChoosingModel(); // it may just have been renamed from here
  gone = isGone ? current.run : "";
  if (isGone || (known !== null && listing !== known)) trigger("change");
  if (listing !== known) {
    runs = models.map(({ run }) => run);
    for (const listener of listeners) listener(runs);
  }
  known = listing;
  const versions = Object.fromEntries(models.map(({ run, version }) => [run, version]));
  for (const listener of versionListeners) listener(versions);
  await retryModel();
  if (now && now.version !== current.version) await refreshModel();
}
