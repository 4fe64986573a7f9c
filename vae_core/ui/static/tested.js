// What the tab Test errors is about: whose errors, beside whose, decoded from which latents, on which images. The tab's
// parts listen for that and for the images that are asked for; nothing of it is asked before the tab is first seen.

import { onOther, other } from "./compare.js";
import { CHOICES, expectedNumber, misnamed, SHOWN } from "./lesson.js";
import { Again, ask, isSameModel, model, modelAddress, onModel, untilReady, whenShown } from "./studio.js";

const viewListeners = [];
const selectionListeners = [];
const [SAMPLED] = CHOICES.latents;
const EVALUATED = "evaluated";
let view = { latents: SAMPLED, on: EVALUATED };
let facts = null;
let factsOf = null; // the card of their model
let selection = null; // which images are shown
let awaited = null; // {run, wanted}: which are to be, once the facts of this model are there
let ofView = null; // what `images` was answered
let lookAgain = () => {};
let retry = null;

/**
 * The tab has been put into the page; tell(share) shows how far measuring is, complain(words) what went wrong: nothing
 * is shown then below the words, where the figures would be another model's.
 */
export function attach(element, tell, complain) {
  const tab = element.closest("[role=tabpanel]");
  const tellFailure = (words) => {
    tab.classList.toggle("untold", Boolean(words));
    if (words) complain(words);
  };
  onOther(() => model() && lookAgain()); // before it looks at all: what is told at once, the model's card asks for
  lookAgain = whenShown(element, () => load(tell, tellFailure));
  retry = new Again(() => lookAgain());
  onModel((card) => {
    const isSame = isSameModel(factsOf, card) && view.on === EVALUATED; // trained on, or renamed
    if (isSame) awaited = { run: card.run, wanted: selection };
    else if (awaited?.run !== card.run) awaited = null;
    view = { ...view, on: EVALUATED };
    facts = factsOf = null;
    lookAgain();
  });
}

/** Calls the listener with the facts of each new view, {…, beside, view}: the second model's stand beside them. */
export function onView(listener) {
  viewListeners.push(listener);
  if (facts) listener(facts);
}

/** Calls the listener with what is to be shown in the gallery, or null. */
export function onSelection(listener) {
  selectionListeners.push(listener);
  if (facts) listener(selection);
}

/** Shows the images of a selection: {low, high, label, read_as, order}, all of them optional. */
export function select(wanted) {
  [selection, awaited] = [wanted, isThere() ? null : { run: model().run, wanted }];
  for (const listener of selectionListeners) listener(selection);
}

/** A selection without what it does not ask for, as it stands in addresses. */
export const asAddressed = (wanted) =>
  Object.fromEntries(Object.entries(wanted ?? {}).filter(([, value]) => value !== undefined && value !== null));

/** What is looked at, as parameters of the page's address, which says nothing of images that only this app has. */
export const testedInAddress = () => ({
  ...(view.latents === SAMPLED ? {} : { latents: view.latents }),
  ...(view.on === EVALUATED ? asAddressed(current()) : {}),
});

/** Whether it is asked for the images that the app has, instead of those of the evaluation. */
export const isOnHere = () => view.on === "here";

/** Whether the facts are of the images that the view is about. */
const isThere = () => facts?.view.on === view.on;

/** The selection, or what will be it once the facts of the model are there. */
function current() {
  if (awaited?.run === model().run) return awaited.wanted;
  return facts && selection;
}

/**
 * Looks at what an address says, and where the page is only being opened leaves alone what it does not say. Answers
 * with what of it cannot be, in words, or "".
 */
export function followTested(parameters, isOpening) {
  const { wanted, latents, problems } = readTested(parameters);
  const { latents: latentsNow = SAMPLED, ...wantedNow } = testedInAddress();
  const isSaid = Object.keys(wanted).length > 0;
  const isNew = JSON.stringify(wanted) !== JSON.stringify(wantedNow) && (isSaid || !isOpening);
  const change = {};
  if (latents !== latentsNow && (parameters.has("latents") || !isOpening)) change.latents = latents;
  if (isNew && isSaid && view.on !== EVALUATED) change.on = EVALUATED;
  if (Object.keys(change).length) changeView(change);
  const due = isSaid ? wanted : null;
  if (isNew && isThere()) select(due);
  else if (isNew) awaited = { run: model().run, wanted: due };
  return problems.filter(Boolean).join("\n");
}

/** What an address says: {wanted, latents}, with what of it cannot be in words. */
function readTested(parameters) {
  const numbers = {};
  const problems = [];
  for (const name of Object.keys(SHOWN).filter((each) => parameters.has(each))) {
    const value = Number(parameters.get(name) || NaN);
    const expected = expectedNumber(name, value);
    if (expected) problems.push(`The address says ${name}=${parameters.get(name)}: ${expected}`);
    else numbers[name] = value;
  }
  const { low, high, ...classes } = numbers;
  const [least, most] = [low ?? SHOWN.low[0], high ?? SHOWN.high[1]].sort((a, b) => a - b);
  const wanted = { ...((low ?? high) === undefined ? {} : { low: least, high: most }), ...classes };
  const said = (name) => CHOICES[name].find((known) => known === parameters.get(name));
  for (const [name, what] of Object.entries({ latents: "kind of latents", order: "way to order" })) {
    const isUnknown = Boolean(parameters.get(name)) && !said(name);
    problems.push(misnamed(what, isUnknown ? [parameters.get(name)] : [], CHOICES[name]));
  }
  if (said("order")) wanted.order = said("order");
  return { wanted, latents: said("latents") ?? SAMPLED, problems };
}

/** Looks at something else: {latents} or {on}, or both. On other images those are shown that are asked for now. */
export function changeView(change) {
  const wanted = current();
  view = { ...view, ...change };
  if (change.on) awaited = { run: model().run, wanted };
  lookAgain();
}

/** The address of something of the view. */
export function testedAddress(path, parameters = {}) {
  return modelAddress(path ? `errors/${path}` : "errors", { ...view, ...parameters });
}

/** The second model, as a parameter of the addresses that show it, unless it has not been tested. */
export const besideAddressed = () => (facts?.beside && !facts.beside.problem ? { other: facts.beside.run } : {});

/** Whether the two models were tested on the same images: only then can their errors be compared. */
export const isComparable = () => Boolean(facts?.beside?.is_same_set);

/** The address of something that is the same from whichever latents the view decodes. */
export const measuredAddress = (path) => modelAddress(`errors/${path}`, { on: view.on });

/** Shows in a part, made of `measuring` and `progress`, how far something is; null hides it. */
export function showProgress(parts, share) {
  parts.measuring.hidden = share === null;
  parts.progress.value = share ?? 0;
}

/** What the button is called that measures the model on the images that the app has. */
export const measureHere = (here) => `Measure it on the ${here.count.toLocaleString("en")} test images here`;

/** Stands where those images would be that are not in the app; why is said once, by the histogram. */
export const NOT_HERE = "The images are not in this app: see the note above the histogram.";

/** Whether the images of the view are in the app, and which the app has: asked once for all parts. */
export function images() {
  ofView ??= ask(measuredAddress("images")).catch((error) => {
    ofView = null; // whoever asks next tries again
    throw error;
  });
  return ofView;
}

/** Asks for the facts of the view as it is now; what comes when it is another one already is not told. */
async function load(tell, tellFailure) {
  const [card, asked, second] = [model(), view, other()];
  const isWanted = () => card === model() && asked === view && second === other();
  try {
    await loadFacts(card, second, tell, isWanted);
    if (!isWanted()) return;
    tellFailure("");
    retry.stop();
  } catch (error) {
    if (!isWanted()) return;
    tell(null);
    tellFailure(error.message);
    retry.after(error);
  }
}

async function loadFacts(card, second, tell, isWanted) {
  ofView = null;
  if (isOnHere()) await untilReady(modelAddress("errors/measured"), tell, isWanted);
  if (!isWanted()) return;
  const askFacts = () => ask(testedAddress("facts", second ? { other: second.run } : {}));
  let answer = await askFacts();
  if (answer.beside?.to_measure && isWanted()) {
    await untilReady(modelAddress("errors/measured", {}, second), tell, isWanted);
    if (isWanted()) answer = await askFacts();
  }
  if (!isWanted()) return;
  tell(null);
  const isOther = !isThere();
  const due = awaited?.run === card.run ? awaited.wanted : null;
  facts = { ...answer, view, run: card.run };
  factsOf = card;
  awaited = null;
  for (const listener of viewListeners) listener(facts);
  if (isOther && due !== selection) select(due);
}
