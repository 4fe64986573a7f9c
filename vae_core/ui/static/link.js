// The page's address: model, tab, vector, the model compared with, the generated images, the test images that are
// shown, the run that is watched, and the step of the guide. A link shares them, and the browser's back button works.
// It is written when things have come to rest, not for every step of a slider.

import { compareWith, onOther, other } from "./compare.js";
import { followGrid, gridInAddress, onTile } from "./generated.js";
import { bringAbout, followStep, guideLeadsWith, onStep, stepInAddress } from "./guide.js";
import { exploreOpensWith, onVector, setVector, source, testImage, vector } from "./latent.js";
import { LARGEST_LATENT, misnamed, placeOfStep, problemOfLesson, SERVERS, shownTabs, START, TABS, withLesson, writeRecipe } from "./lesson.js";
import { address, afterwards, ask, chooseModel, firstModel, isChoosingModel, model, onModel, tellProblem, written } from "./studio.js";
import { followTested, onSelection, onView, testedInAddress } from "./tested.js";
import { followWatched, onChosen, watchedInAddress } from "./watched.js";

const RESTED_MILLISECONDS = 400;
let tab = "explore";
let wantedTab = null;
let onTheirWay = []; // tabs that Gradio has been asked for and has not told of
let tellGradio = () => {};
let isApplying = true; // until the address that the page was opened with has been followed
let newestStep = 0; // through the addresses
let followed = ""; // the place that the last address led to, until the first step from it
let hasMoved = false; // the visitor has opened a tab meanwhile, and stays there
let isOpen = false; // the tab that an address led to, before the address has been followed to its end

export function mount(element, trigger) {
  tellGradio = trigger;
  exploreOpensWith(() => openTab("explore"));
  guideLeadsWith(visit, placeOfNow);
  if (!shownTabs().includes(tab)) openTab(shownTabs()[0]);
  const write = afterwards(remember, RESTED_MILLISECONDS);
  onVector(write);
  onOther(write);
  onTile(write);
  onView(write);
  onSelection(write);
  onChosen(({ isGivenUp }) => {
    if (isGivenUp) followed = JSON.stringify(placeOfNow()); // no step of the visitor's
    write();
  });
  onStep(write);
  let isFirst = true;
  onModel((card) => {
    if (isFirst) followAddress(location.search, history.state, true);
    else write();
    isFirst = false;
  });
  window.addEventListener("popstate", (event) => {
    followAddress(location.search, event.state);
  });
}

/** Opens one of the five tabs, unless the lesson leaves it out. */
function openTab(name) {
  if (name === (onTheirWay.at(-1) ?? tab) || !shownTabs().includes(name)) return;
  wantedTab = name;
  onTheirWay.push(name);
  const hasFocus = document.activeElement?.closest('[role="tabpanel"]'); // which goes out of sight with its tab
  tellGradio("change");
  if (hasFocus) document.getElementById(`tab-${name}-button`)?.focus({ preventScroll: true });
  window.scrollTo({ top: 0 });
}

/** Makes a run the model of every tab and opens Explore, unless the visitor steps elsewhere meanwhile. */
export async function exploreModel(run) {
  const step = newestStep;
  const isNewest = () => step === newestStep;
  await chosen(run, isNewest);
  if (isNewest() && run === model().run) openTab("explore");
}

/** For Gradio: the tab to open, as an update of gr.Tabs. */
export const tabToOpen = () => [{ selected: wantedTab, __type__: "update" }];

/** For Gradio: the model of now, as the drop-down's value. */
export const modelOfNow = () => [model().run];

/** A tab has been opened, by whomever. */
export function tabShown(name) {
  const asked = onTheirWay.indexOf(name);
  if (isApplying && name !== tab && asked < 0) hasMoved = true;
  if (isApplying && asked >= 0) isOpen = true;
  onTheirWay.splice(0, asked + 1); // of several at once Gradio may tell only of the last
  tab = name;
  if (!isApplying) remember();
}

const openNow = () => document.querySelector('[role="tab"][aria-selected="true"]')?.dataset.tabId ?? tab;

/** Takes the visitor to a place: what an address would say of it, see START; with the picture behind its vector. */
async function visit(place, from = null) {
  await firstModel;
  const search = searchOf(place);
  const state = from && { source: from };
  if (search !== location.search) history.pushState(state, "", search);
  return followAddress(search, state);
}

function remember() {
  if (isApplying || !model()) return;
  const search = searchOf(placeOfNow());
  if (search === location.search) return;
  const isSame = JSON.stringify(placeOfNow()) === followed; // in other words: no step to go back
  followed = "";
  history[isSame ? "replaceState" : "pushState"]({ source: source() }, "", search);
}

/** Where the visitor is, as parameters of an address: see START. */
export function placeOfNow(opened = tab) {
  const place = { model: model().run, ...gridInAddress(), ...testedInAddress(), ...watchedInAddress(), ...stepInAddress() };
  if (opened !== "explore" || placeOfStep(place.step).has("tab")) place.tab = opened; // else the step would lead to its own
  if (vector().some((value) => value !== 0)) place.z = written(vector());
  if (source()?.index !== undefined) place.image = source().index;
  if (other()) place.with = other().run;
  return place;
}

function searchOf(place) {
  const parameters = new URLSearchParams(location.search); // Gradio's own, such as __theme, and the lesson stay
  for (const name of START) name in place ? parameters.set(name, place[name]) : parameters.delete(name);
  writeRecipe(parameters);
  return `?${parameters.toString().replaceAll("%2C", ",")}`;
}

/**
 * Makes the app what an address says. What cannot be followed is said, and the rest is followed. Of two steps
 * through the addresses that overlap, the later one counts. Where the page is only being opened, a visitor may have
 * moved already; what the address does not say stays so.
 */
async function followAddress(search, state, isOpening = false) {
  const step = (newestStep += 1);
  const isNewest = () => step === newestStep;
  isApplying = true;
  if (!isOpening) hasMoved = false; // that was before this step
  isOpen = false;
  const parameters = withLesson(search);
  if (!isOpening) followWatched(parameters);
  const asked = parameters.get("tab") ?? "explore";
  const problems = [problemOfLesson(), misnamed("tab", asked in TABS ? [] : [asked], shownTabs()), followStep(parameters)];
  const isSaid = new URLSearchParams(search).has("tab"); // and not by the server's lesson
  if (isSaid && asked in TABS && !shownTabs().includes(asked)) problems.push(`${TABS[asked]} is left out here.`);
  try {
    problems.push(await followToModel(parameters, state, isNewest, isOpening));
  } catch (error) {
    problems.push(`The address could not be followed: ${error.message}.`);
  }
  if (!isNewest()) return;
  if (problems.some(Boolean)) tellProblem(problems.filter(Boolean).join("\n"));
  const opened = [asked, SERVERS.get("tab"), shownTabs()[0]].find((name) => shownTabs().includes(name));
  if (!hasMoved) openTab(opened);
  bringAbout();
  const hasChosen = Object.keys({ ...testedInAddress(), ...watchedInAddress() }).some((name) => !parameters.has(name));
  const isAhead = isOpening && (hasChosen || (!parameters.has("z") && vector().some((value) => value !== 0)));
  const place = JSON.stringify(placeOfNow(opened));
  setTimeout(() => {
    if (!isNewest()) return;
    // Gradio does not tell of a tab that was opened before its listeners were there.
    if (wantedTab === null && openNow() !== tab) tabShown(openNow());
    onTheirWay = [];
    isApplying = false;
    const isThere = !hasMoved && !isAhead && JSON.stringify(placeOfNow(opened)) === place;
    if (isThere) followed = place;
    if (!isThere || isOpen) remember(); // else Gradio may still be about to open the tab
    hasMoved = false;
  }, RESTED_MILLISECONDS + 100);
}

/** Answers with what cannot be followed, in words, or "". */
async function followToModel(parameters, state, isNewest, isOpening) {
  const run = parameters.get("model") ?? model().run;
  const second = parameters.get("with") ?? "";
  const isHere = run === model().run && second === "";
  const known = isHere ? [run] : (await ask(address("models"))).models.map((listed) => listed.run);
  if (!isNewest()) return "";
  if (!known.includes(run)) return `${misnamed("model", [run], known)} This is ${model().run}.`;
  await chosen(run, isNewest);
  if (!isNewest() || run !== model().run) return ""; // why it could not be chosen is told already
  const { from, problem } = await originOf(parameters, state);
  if (!isNewest() || run !== model().run) return ""; // the visitor has chosen another meanwhile
  const z = parameters.get("z")?.split(",").map((text) => (text === "" ? NaN : Number(text))) ?? from?.mean ?? new Array(model().latent_dim).fill(0);
  const isVector = z.length === model().latent_dim && z.every((value) => Math.abs(value) <= LARGEST_LATENT);
  if (isVector && (parameters.has("z") || from || !isOpening)) setVector(z, from);
  const unknown = [second].filter((name) => name && !known.includes(name));
  await compareWith(unknown.length || second === run ? "" : second);
  if (!isNewest()) return "";
  const problemOfGrid = followGrid(parameters);
  const problems = [problem, misnamed("model to compare with", unknown, known), followTested(parameters, isOpening)];
  if (second === run) problems.push(`The address compares ${run} with itself.`);
  if (!isVector) problems.push(`The address holds no vector of ${model().run}: expected ${model().latent_dim} numbers from -${LARGEST_LATENT} to ${LARGEST_LATENT} after z=.`);
  if (problemOfGrid) problems.push(`Of the images that the address asks for: ${problemOfGrid}`);
  return problems.filter(Boolean).join("\n");
}

/** The picture behind the vector: what the browser's history kept of it, or the test image that the address names. */
async function originOf(parameters, state) {
  if (state?.source || !parameters.has("image")) return { from: state?.source ?? null };
  const image = parameters.get("image");
  if (!/^[0-9]+$/.test(image)) return { from: null, problem: `The address says image=${image}: expected a whole number.` };
  try {
    return { from: await testImage(image) };
  } catch (error) {
    return { from: null, problem: `${error.message}.` };
  }
}

/** Makes a run the model, unless it is and stays so, and lets the drop-down follow. */
async function chosen(run, isNewest) {
  if (run === model().run && !isChoosingModel()) return;
  await chooseModel(run);
  if (isNewest() && model().run === run) tellGradio("input"); // else the visitor has chosen another meanwhile
}
