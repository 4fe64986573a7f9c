// The one latent vector of the whole app. Whoever changes it calls setVector or explore; whoever shows it
// listens. Beside the vector stands its origin: the picture it was encoded from, if there is one.

import { address, ask, firstModel, isSameModel, model, modelAddress, onModel, tellProblem } from "./studio.js";
import { isOfDigits } from "./words.js";

export const LIMIT = 3;
/** A latent of less KL tells next to nothing. Active units are counted by another measure: see evaluated.py. */
export const LEAST_NATS = 0.05;
const listeners = [];
let z = [];
let origin = null;
let of = null; // the model's card
let setBy = null; // that of the model the vector was set with
let openExplore = () => {};

onModel(async (card) => {
  const isSame = isSameModel(of, card); // in training: its vectors mean the same, or nearly
  const isKept = z.length === card.latent_dim;
  if (isSame && isSameModel(setBy, of)) setBy = card;
  of = card;
  setVector(isKept ? z : new Array(card.latent_dim).fill(0));
  if (origin) await readAgain(origin, isSame);
});

export const vector = () => z;

/** {words, picture, mean, deviation} of the picture that was encoded, with the index of a test image, or null. */
export const source = () => origin;

/** The model that the vector was set with, where another has been chosen since and nothing has been moved; or null. */
export const setWith = () => (isSameModel(setBy, of) ? null : setBy.run);

/** Sets the vector; the origin stays what it is unless another, or null, is given. */
export function setVector(values, from = origin) {
  const before = z;
  z = values.map((value) => Math.round(value * 1e4) / 1e4);
  origin = from;
  const isSame = z.length === before.length && z.every((value, latent) => value === before[latent]);
  const isMiddle = z.every((value) => value === 0); // which is any model's
  if (!isSame || isMiddle) setBy = of;
  tell();
}

function tell() {
  for (const listener of listeners) listener(z, origin);
}

/** How to put back what is explored now, as long as its model is there. */
export function remember() {
  const [kept, from, by, card] = [z, origin, setBy, of];
  return () => {
    if (of !== card) return;
    [z, origin, setBy] = [kept, from, by];
    tell();
  };
}

/**
 * "Explore from here": the vector, the picture it came from if any, and the tab that shows both. A vector of a model
 * that has just been chosen away may be of another length, and leads nowhere.
 */
export function explore(values, from = null) {
  if (values.length !== model().latent_dim) return;
  setVector(values, from);
  openExplore();
}

/** One of the test images as an origin, with the model's own mean and spread. */
export async function testImage(index) {
  const asked = of;
  const answer = await ask(modelAddress(`test-images/${encodeURIComponent(index)}`)).catch((error) => {
    if (asked === of) throw error;
  });
  if (asked !== of) return testImage(index); // another model reads it now
  const { called, seen, mean, deviation, data, noun } = answer;
  const { run, data: learned } = model();
  const isKnown = !learned || learned === data || (isOfDigits() && noun === "digit");
  const other = isKnown ? "" : ` of ${data}, which ${run} has not learned`;
  return { words: `test image ${index}, ${called}${other}`, picture: seen, mean, deviation, index };
}

/** Any of the test images. */
export async function anyTestImage() {
  await firstModel;
  const { count } = await ask(address("test-images"));
  return testImage(Math.floor(Math.random() * count));
}

/** Explores any of the test images. */
export async function exploreTestImage() {
  try {
    const from = await anyTestImage();
    explore(from.mean, from);
  } catch (error) {
    tellProblem(error.message);
  }
}

/** Calls the listener with vector and origin, now and whenever one of them changes. */
export function onVector(listener) {
  listeners.push(listener);
  if (z.length) listener(z, origin);
}

/** Tells this module how the tab Explore is opened. */
export function exploreOpensWith(open) {
  openExplore = open;
}

/** A number from N(0, 1), by Box and Muller. */
export function normal() {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}

/** On the arc from one vector to another, as latent_space.slerp; on the line where there is no arc. */
export function slerp(start, end, at) {
  const dot = (a, b) => a.reduce((sum, value, index) => sum + value * b[index], 0);
  const lengths = Math.sqrt(dot(start, start) * dot(end, end));
  const cosine = lengths > 0 ? Math.max(-1, Math.min(1, dot(start, end) / lengths)) : 1;
  const angle = Math.acos(cosine);
  const [a, b] =
    Math.abs(cosine) > 0.9995
      ? [1 - at, at]
      : [Math.sin((1 - at) * angle) / Math.sin(angle), Math.sin(at * angle) / Math.sin(angle)];
  return start.map((value, index) => a * value + b * end[index]);
}

/** {mean, deviation, reconstruction} of an image that the server made, by a model, by default the chosen one. */
export async function encode(picture, of) {
  const body = await (await fetch(picture)).blob();
  return ask(modelAddress("encode", {}, of), { method: "POST", body });
}

/**
 * The picture the vector came from means another vector to another model; of one that learns, and where a slider has
 * been moved meanwhile, only the marks move. A picture that another model could not read is none of its vector's.
 */
async function readAgain(from, isSame) {
  const [asked, before] = [of, z];
  const isElsewhere = () => origin !== from || of !== asked; // the visitor is, meanwhile
  try {
    const { mean, deviation } = await encode(from.picture);
    const isMoved = z.some((value, latent) => value !== before[latent]);
    if (!isElsewhere()) setVector(isSame || isMoved ? z : mean, { ...from, mean, deviation });
  } catch (error) {
    if (isElsewhere()) return;
    tellProblem(error.message);
    if (!isSame) setVector(z, null);
  }
}
