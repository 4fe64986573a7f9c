// Digits decoded from latent vectors drawn at random, as one picture whose tiles can be chosen.

import { CHOICES, expectedNumber, GRID } from "./lesson.js";
import { Tiles } from "./tiles.js";
import { EMPTY, afterwards, firstModel, isSameModel, model, modelAddress, onModel, partsOf, untilReady, whyMissing, within } from "./studio.js";
import { className } from "./words.js";

const RESTED_MILLISECONDS = 200;
const FIRST = { seed: 0, count: 64, temperature: 1, label: "", sampler: "prior" };
/** What is wanted, by its names in the page's address. */
const NAMES = { seed: "seed", count: "count", temperature: "temperature", class: "label", sampler: "sampler" };
const listeners = [];
let parts = null;
let tiles = null;
let wanted = FIRST;
let shown = null; // the card of the model whose images are there
let laid = null; // what of it was wanted
let chosen = null;
let offered = ""; // the classes in their field
let tellFields = () => {};
let tellMistake = () => {};

/** Calls the listener with {index, wanted} when a tile is chosen, and with index null when none is any more. */
export function onTile(listener) {
  listeners.push(listener);
  listener({ index: chosen, wanted: parameters() });
}

/** Calls the listener with what is wrong with the fields, in words, or "" once they are obeyed. */
export function onMistake(listener) {
  tellMistake = listener;
}

export function mount(element, trigger) {
  parts = partsOf(element);
  tellFields = () => trigger("change");
  tiles = new Tiles(parts.tiles, { words: (index) => `Image ${index + 1}`, choose });
  parts.scale.addEventListener("change", offerDownload);
  onModel((card) => {
    const isLost = wanted.label !== "" && !(wanted.label in card.class_means);
    const lost = isLost ? `${card.run} knows no class ${className(wanted.label)}: these are of all classes.` : "";
    if (isLost) wanted = { ...wanted, label: "" };
    const offer = JSON.stringify(classesOf(card));
    if (isLost || offer !== offered || !isSameModel(shown, card)) {
      tellFields(); // of a model in training what is being written there stays
      tellMistake(lost);
    }
    offered = offer;
    show();
  });
}

/** Button "Generate", and whatever else asks for other images. */
export async function generate(seed, count, temperature, label, sampler) {
  await firstModel;
  const asked = { seed, count, temperature, label: label ?? "", sampler: sampler ?? "prior" };
  const [problem] = Object.values(problemsOf(asked));
  tellMistake(problem ?? "");
  if (problem) return;
  wanted = asked;
  await show();
}

/** The field "Seed" has been left. */
export function seedLeft(seed, ...others) {
  if (seed === wanted.seed) tellMistake("");
  else generate(seed, ...others);
}

/** What cannot be generated, in words, by the names of what is wanted. */
function problemsOf({ label, sampler, ...numbers }) {
  const problems = {};
  for (const [name, title] of Object.entries({ seed: "Seed", count: "Count", temperature: "Temperature" })) {
    const expected = expectedNumber(name, numbers[name]);
    if (expected) problems[name] = `${title}: ${expected}`;
  }
  const classes = Object.keys(model().class_means);
  if (label !== "" && !classes.includes(label)) problems.label = `Class: expected one of ${classes.join(", ") || "none, as the model has not been tested yet"}.`;
  if (!CHOICES.sampler.includes(sampler)) problems.sampler = `Sampler: expected ${CHOICES.sampler.join(" or ")}.`;
  return problems;
}

function complain(words) {
  parts.problem.hidden = !words;
  parts.problem.textContent = words;
}

/** What differs from the first images, as parameters of the page's address. */
export function gridInAddress() {
  const different = Object.entries(NAMES).filter(([, name]) => wanted[name] !== FIRST[name]);
  return Object.fromEntries(different.map(([named, name]) => [named, wanted[name]]));
}

/** Generates what an address says, and puts it in the fields. Answers with what of it cannot be, in words, or "". */
export function followGrid(parameters) {
  const asked = { ...FIRST };
  for (const [named, name] of Object.entries(NAMES)) {
    const said = parameters.get(named);
    if (said !== null) asked[name] = typeof FIRST[name] === "number" ? Number(said || NaN) : said;
  }
  const problems = problemsOf(asked);
  for (const name of Object.keys(problems)) asked[name] = FIRST[name];
  if (Object.keys(FIRST).some((name) => asked[name] !== wanted[name])) {
    wanted = asked;
    tellFields();
    tellMistake("");
    show();
  }
  return Object.values(problems).join(" ");
}

/** For Gradio: the fields as the images are, with the classes that the chosen model knows. */
export function fields() {
  const { seed, count, temperature, label, sampler } = wanted;
  return [seed, count, temperature, { choices: [["all", ""], ...classesOf(model())], value: label, __type__: "update" }, sampler];
}

/** The classes that a model knows, by what they are called. */
const classesOf = (card) => Object.keys(card.class_means).map((known) => [className(known), known]);

/** For controls that are dragged: once they rest, unless something else has been asked for meanwhile. */
export const generateSoon = (...values) => generateRested(wanted, ...values);

const generateRested = afterwards((before, ...values) => {
  if (before !== wanted) return;
  const [, count, temperature] = values;
  const hasFollowed = count === wanted.count && temperature === wanted.temperature; // an address, and asks nothing anew
  if (hasFollowed) tellMistake("");
  else generate(...values);
}, RESTED_MILLISECONDS);

/** For Gradio: the field "Seed" for the button "Another seed". */
export const anotherSeed = (seed) => [Number.isInteger(seed) && seed >= 0 && seed < GRID.seed[1] ? seed + 1 : 0];

/** For Gradio: the sampler rests while one class is chosen, which is drawn without it. */
export const samplerFor = (label) => [{ interactive: !label, __type__: "update" }];

/** What is wanted, as it stands in an address: one class is drawn from its own distribution, without a sampler. */
function parameters() {
  const { label, sampler, ...others } = wanted;
  return label === "" ? { ...others, sampler } : { ...others, label };
}

function choose(index) {
  chosen = index;
  tiles?.mark(index);
  for (const listener of listeners) listener({ index, wanted: parameters() });
}

async function show() {
  if (parts === null) return;
  const asked = wanted;
  const of = model();
  const { picture, about } = parts;
  const { count, seed, temperature, label, sampler } = asked;
  complain("");
  if (!isSameModel(shown, of)) showNothing(); // what is still there is another model's
  try {
    if (parameters().sampler === "mixture") await fitted(() => asked === wanted);
  } catch (error) {
    if (asked !== wanted || of !== model()) return;
    showNothing();
    complain(`${error.message}.`);
    return;
  }
  if (asked !== wanted || of !== model()) return;
  const stays = asked === laid; // of a model in training; only the pictures are others
  [shown, laid] = [of, asked];
  parts.tiles.setAttribute("aria-busy", true);
  parts.tiles.inert = parts.download.hidden = false;
  picture.src = modelAddress("generated.png", parameters());
  picture.alt = `${count} generated images, seed ${seed}`;
  tiles.lay(count, Math.ceil(Math.sqrt(count)));
  choose(stays ? chosen : null);
  offerDownload();
  const from = label !== "" ? `, drawn around class ${className(label)}` : sampler === "mixture" ? ", from the mixture" : "";
  try {
    await picture.decode();
    about.textContent = `${count} ${count === 1 ? "image" : "images"}, seed ${seed}, temperature ${temperature}${from}`;
  } catch {
    const why = await whyMissing(picture);
    if (asked !== wanted || of !== model()) return; // another picture has been asked for
    showNothing();
    complain(`The picture could not be made. ${why}`);
  }
  if (asked === wanted) parts.tiles.setAttribute("aria-busy", false);
}

function showNothing() {
  shown = laid = null;
  parts.picture.src = EMPTY;
  parts.picture.alt = parts.about.textContent = "";
  parts.tiles.inert = parts.download.hidden = true;
  parts.tiles.setAttribute("aria-busy", false);
  choose(null);
}

/** The model's mixture is there; a model's first one takes some seconds to fit. */
async function fitted(isWanted) {
  const tell = () => {
    parts.about.textContent = "Getting the mixture of the training images' encodings ready…";
    parts.fitting.hidden = false;
  };
  await untilReady(modelAddress("mixture"), tell, isWanted).finally(() => (parts.fitting.hidden = true));
}

function offerDownload() {
  const scale = within(Math.round(Number(parts.scale.value)) || 1, 1, 8);
  parts.scale.value = scale;
  parts.download.href = modelAddress("generated.png", { ...parameters(), scale });
  parts.download.download = `generated-${wanted.count}-seed-${wanted.seed}.png`;
}
