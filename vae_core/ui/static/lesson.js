// A lesson: what the page leaves out and starts with, as its address says, or else the server's --lesson.
// This runs before Gradio builds the page; what is left out is never seen, and neither keyboard nor screen
// reader reaches it. It is hidden, not forbidden: whoever edits the address has it back.

const known = JSON.parse(document.querySelector("meta[name=studio-lesson]").content);
/** Names in an address that are not ours: Gradio's, and those by which others count who follows a link. */
const OTHERS = /^(__.*|view|deep_link|utm_.*|.*clid)$/;
/** Buttons that would open Explore. */
const TO_EXPLORE = '.gradio-container [data-is="explore"]';

/** What the server's own lesson says: an address must say these itself to be free of it. */
export const SERVERS = new URLSearchParams(known.lesson);
/** Names of the tabs in addresses, with their titles. */
export const TABS = known.tabs;
/** Names of the parts that can be left out: {words, tab}. */
export const PARTS = known.parts;
export const PRESETS = known.presets;
/** Names of the guide's steps, in their order: {place, parts, is_brought, about}. */
export const STEPS = known.steps;
/** The least and the most of the numbers that say what is generated, by their names in addresses. */
export const GRID = known.grid;
/** The same of which test images are shown. */
export const SHOWN = known.shown;
/** Words of an address, by their names in it: those there are. */
export const CHOICES = known.choices;
/** Of what the server decodes. */
export const LARGEST_LATENT = known.largest_latent;
/** Parameters of an address that say where the visitor is. */
export const START = known.start;

const address = withLesson(location.search);
const tabs = named("tabs", Object.keys(TABS));
const parts = named("hide", Object.keys(PARTS));
const preset = named("preset", PRESETS);
const USUAL = PRESETS[0];
const saidRecipe = new URLSearchParams(location.search).get("preset"); // and not by the server's lesson
let chosenRecipe = PRESETS.includes(saidRecipe) ? saidRecipe : null;
const NAMES = [...known.restrictions, ...known.start];
const strangers = [...new URLSearchParams(location.search).keys()].filter((name) => !NAMES.includes(name) && !OTHERS.test(name));
const shown = tabs.found.length ? tabs.found : Object.keys(TABS);

/** The tabs that are left, at least one, in their order. */
export const shownTabs = () => Object.keys(TABS).filter((tab) => shown.includes(tab));

/** The names of the parts that are left out. */
export const hiddenParts = () => parts.found;

/** What address or lesson say of the recipe by now, "" for nothing. */
export function presetOfLesson() {
  const said = withLesson(location.search).get("preset");
  return PRESETS.includes(said) ? said : "";
}

/** The recipe that a visitor has chosen stands in the address: it is there again when the page is loaded anew. */
export function keepRecipe(name) {
  chosenRecipe = name;
  const url = new URL(location.href);
  writeRecipe(url.searchParams);
  history.replaceState(history.state, "", url.href.replaceAll("%2C", ","));
}

/** Into the parameters of an address, as far as the visitor has chosen one. */
export function writeRecipe(parameters) {
  if (chosenRecipe === null) return;
  if (chosenRecipe === USUAL && !SERVERS.has("preset")) parameters.delete("preset");
  else parameters.set("preset", chosenRecipe);
}

window.addEventListener("popstate", () => chosenRecipe !== null && keepRecipe(chosenRecipe)); // older addresses lack it

/** What cannot be followed, in words, or "". */
export const problemOfLesson = () =>
  [
    misnamed("parameter", strangers, NAMES),
    misnamed("tab", tabs.unknown, Object.keys(TABS)),
    misnamed("part", parts.unknown, Object.keys(PARTS)),
    misnamed("recipe", preset.unknown, PRESETS),
  ]
    .filter(Boolean)
    .join("\n");

/**
 * The parameters of an address, and of the server's lesson where they say nothing. An address that names a model is a
 * place of its own, as the page writes them: a visitor's model is not given the lesson's vector.
 */
export function withLesson(search) {
  const said = withPlaceOfStep(search);
  const isOwnPlace = said.has("model");
  for (const [name, value] of withPlaceOfStep(known.lesson)) {
    if (!said.has(name) && !(START.includes(name) && isOwnPlace)) said.set(name, value);
  }
  return said;
}

/** Where a step of the guide begins, as parameters of an address. */
export function placeOfStep(step) {
  return new URLSearchParams(STEPS[step]?.place);
}

/** What names a step of the guide leads to where the step begins; with a model of its own, to its tab only. */
function withPlaceOfStep(search) {
  const said = new URLSearchParams(search);
  const hasModel = said.has("model");
  for (const [name, value] of placeOfStep(said.get("step"))) {
    if (!said.has(name) && (name === "tab" || !hasModel)) said.set(name, value);
  }
  return said;
}

function named(parameter, all) {
  const names = (address.get(parameter) ?? "").split(",").filter(Boolean);
  return { found: names.filter((name) => all.includes(name)), unknown: names.filter((name) => !all.includes(name)) };
}

/** What a number must be that stands in addresses under this name, in words, or "" if this is such a number. */
export function expectedNumber(name, value) {
  const [least, most] = { ...GRID, ...SHOWN }[name];
  const isFraction = known.fractions.includes(name);
  const isNumber = isFraction ? Number.isFinite(value) : Number.isInteger(value);
  if (isNumber && value >= least && value <= most) return "";
  return `expected a ${isFraction ? "" : "whole "}number from ${least} to ${most.toLocaleString("en")}.`;
}

/** What is wrong with the name of something in the address, in words, or "". */
export function misnamed(what, unknown, there) {
  if (!unknown.length) return "";
  return `The address names a ${what} that is not here, “${unknown.join("”, “")}”: there are ${there.join(", ")}.`;
}

function hide() {
  const gone = Object.keys(TABS).filter((tab) => !shown.includes(tab));
  const selectors = [
    ...gone.flatMap((tab) => [`[role="tab"][data-tab-id="${tab}"]`, `#tab-${tab}`]),
    ...parts.found.map((name) => PARTS[name].where),
    ...(shown.includes("explore") ? [] : [TO_EXPLORE]),
  ];
  const style = document.createElement("style");
  style.textContent = selectors.map((selector) => `${selector} { display: none !important; }`).join("\n");
  document.head.append(style);
  document.documentElement.classList.toggle("few-tabs", shown.length < 4);
  document.documentElement.classList.add("lesson-read"); // the cover is lifted, see studio.css
}

hide();
