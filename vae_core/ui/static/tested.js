// What the tab Test errors is about: whose errors, decoded from which latents, on which images. The tab's
// parts listen for that and for the images that are asked for; nothing of it is asked before the tab is seen.

import { ask, model, modelAddress, onModel, untilReady, whenShown } from "./studio.js";

const viewListeners = [];
const selectionListeners = [];
let view = { latents: "sampled", on: "evaluated" };
let facts = null;
let ofView = null; // what `images` was answered
let lookAgain = () => {};

/** The tab has been put into the page; tell(share) shows how far measuring is, complain(words) what went wrong. */
export function attach(element, tell, complain) {
  lookAgain = whenShown(element, () => {
    load(tell).catch((error) => {
      tell(null);
      complain(error.message);
    });
  });
  onModel(() => {
    view = { ...view, on: "evaluated" };
    facts = null;
    lookAgain();
  });
}

/** Calls the listener with the facts of each new view, {…, view}. */
export function onView(listener) {
  viewListeners.push(listener);
  if (facts) listener(facts);
}

/** Calls the listener with what is to be shown in the gallery, or null. */
export function onSelection(listener) {
  selectionListeners.push(listener);
}

/** Shows the images of a selection: {low, high, label, read_as, order}, all of them optional. */
export function select(selection) {
  for (const listener of selectionListeners) listener(selection);
}

/** Looks at something else: {latents} or {on}, or both. */
export function look(change) {
  view = { ...view, ...change };
  lookAgain();
}

/** The address of something of the view. */
export function testedAddress(path, parameters = {}) {
  return modelAddress(path ? `errors/${path}` : "errors", { ...view, ...parameters });
}

/** The address of something that is the same from whichever latents the view decodes. */
export const measuredAddress = (path) => modelAddress(`errors/${path}`, { on: view.on });

/** Shows in a part, made of `measuring` and `progress`, how far something is; null hides it. */
export function showProgress(parts, share) {
  parts.measuring.hidden = share === null;
  parts.progress.value = share ?? 0;
}

/** What stands where those images would be that are not in the app; why is said once, by the histogram. */
export const notHere = ({ here }) =>
  `The images are not in this app: see the note above the histogram${here ? ", and the button below it" : ""}.`;

/** Whether the images of the view are in the app, and which the app has: asked once for all parts. */
export function images() {
  ofView ??= ask(measuredAddress("images")).catch((error) => {
    ofView = null; // whoever asks next tries again
    throw error;
  });
  return ofView;
}

async function load(tell) {
  const [card, asked] = [model(), view];
  ofView = null;
  if (view.on === "here") await untilReady(modelAddress("errors/measured"), tell);
  const answer = await ask(testedAddress("facts"));
  if (card !== model() || asked !== view) return;
  tell(null);
  const isOther = facts?.view.on !== view.on;
  facts = { ...answer, view };
  if (isOther) select(null);
  for (const listener of viewListeners) listener(facts);
}
