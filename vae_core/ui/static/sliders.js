// One slider for each latent, the most used first, with the mark of the picture it was encoded from.

import { LEAST_NATS, LIMIT, normal, onVector, remember, setVector, source, vector } from "./latent.js";
import { firstModel, isShortcut, onModel, partsOf, within, withoutScrolling } from "./studio.js";

const FINE = 0.05;
const FINEST = 0.01;
const COARSE = 0.5;
const MOST_FEW = 4; // sliders that leave their room to the map
const listeners = [];
let order = [];
let chosen = null;

/** The latents of the chosen model, counted from 0, the one of the highest KL first. */
export const latentsByUse = () => order;

/** Calls the listener with the latent that was touched last, now and whenever it is another. */
export function onLatent(listener) {
  listeners.push(listener);
  if (chosen !== null) listener(chosen);
}

export function mount(element) {
  const parts = partsOf(element);
  let inputs = [];
  let run = null;
  onModel((card) => {
    // In training: a slider that is being moved must not be taken away.
    const isSameRun = card.run === run && card.latent_dim === inputs.length;
    run = card.run;
    parts.sliders.classList.toggle("few-sliders", card.latent_dim <= MOST_FEW);
    if (!isSameRun) inputs = Array.from({ length: card.latent_dim }, (_, index) => makeSlider(index));
    inputs.forEach((input, index) => sayUse(input.closest(".latent"), card.kl_per_dimension?.[index]));
    const kl = card.kl_per_dimension ?? inputs.map(() => 0);
    order = inputs.map((_, index) => index).sort((a, b) => kl[b] - kl[a]);
    const boxes = order.map((index) => inputs[index].closest(".latent"));
    if (boxes.some((box, at) => box !== parts.sliders.children[at])) parts.sliders.replaceChildren(...boxes);
    if (!isSameRun) chosen = null;
    choose(chosen ?? order[0]);
    offerUnused(parts, boxes);
    show(inputs, vector(), source());
  });
  onVector((z, origin) => show(inputs, z, origin));
  parts.more.addEventListener("click", () => {
    parts.more.ariaExpanded = parts.sliders.classList.toggle("all");
    offerUnused(parts, [...parts.sliders.children]);
  });
}

/** Button "Random digit": a vector from the prior, within the sliders' reach. */
export async function randomise() {
  await firstModel;
  setVector(vector().map(() => clamped(normal())), null);
}

/** Button "Reset": the middle of the latent space. */
export function reset() {
  setVector(vector().map(() => 0), null);
}

/** Moves one latent. */
export function change(index, value) {
  const z = [...vector()];
  z[index] = clamped(value);
  setVector(z);
  choose(index);
}

const clamped = (value) => within(value, -LIMIT, LIMIT);

function choose(index) {
  if (chosen === index) return;
  chosen = index;
  for (const listener of listeners) listener(index);
}

function makeSlider(index) {
  const box = document.createElement("div");
  box.className = "latent";
  box.innerHTML = `
    <label for="latent-${index + 1}">z${index + 1} <small></small></label>
    <output for="latent-${index + 1}" aria-hidden="true"></output>
    <div class="track"><i></i><input type="range" id="latent-${index + 1}" min="${-LIMIT}" max="${LIMIT}" step="0.01"></div>`;
  const input = box.querySelector("input");
  input.title = "Arrows move it finely, with Shift finest, page keys coarsely; double click sets it to 0";
  withoutScrolling(input, () => {
    const [putBack, latent] = [remember(), chosen];
    return () => {
      putBack();
      choose(latent);
    };
  });
  input.addEventListener("input", () => change(index, Number(input.value)));
  input.addEventListener("dblclick", () => change(index, 0));
  input.addEventListener("click", () => choose(index)); // who passes by, with the Tab key or scrolling, chooses none
  input.addEventListener("keydown", (event) => {
    const step = stepOf(event);
    if (step === 0 || isShortcut(event)) return;
    event.preventDefault();
    change(index, Number(input.value) + step);
  });
  return input;
}

function sayUse(box, kl) {
  if (kl === undefined) return;
  box.querySelector("small").textContent = kl < LEAST_NATS ? "unused" : `${kl.toFixed(2)} nats`;
  box.classList.toggle("unused", kl < LEAST_NATS);
}

/** On a phone the unused ones are folded away, unless there are no others: see studio.css. */
function offerUnused({ sliders, more, none }, boxes) {
  const unused = boxes.filter((box) => box.classList.contains("unused")).length;
  const isNoneUsed = unused > 0 && unused === boxes.length;
  none.hidden = !isNoneUsed;
  more.hidden = unused === 0 || isNoneUsed;
  sliders.classList.toggle("none-used", isNoneUsed);
  more.textContent = `${sliders.classList.contains("all") ? "Hide" : "Show"} the ${unused} unused`;
}

function stepOf({ key, shiftKey }) {
  const fine = shiftKey ? FINEST : FINE;
  const steps = { ArrowRight: fine, ArrowUp: fine, ArrowLeft: -fine, ArrowDown: -fine, PageUp: COARSE, PageDown: -COARSE };
  return steps[key] ?? 0;
}

function sayValue(input, output, value) {
  output.value = (Math.round(value * 100) / 100 + 0).toFixed(2); // never -0.00
  const isBeyond = clamped(value) !== value; // a walk over the map or an address can lead there
  output.classList.toggle("beyond", isBeyond);
  output.title = isBeyond ? `Beyond the slider, which reaches from -${LIMIT} to ${LIMIT}` : "";
  input.ariaValueText = isBeyond ? `${output.value}, beyond the slider` : null;
}

function show(inputs, z, origin) {
  const percent = (value) => `${((clamped(value) + LIMIT) / (2 * LIMIT)) * 100}%`;
  inputs.forEach((input, index) => {
    const value = z[index] ?? 0;
    if (Number(input.value) !== value) input.value = value;
    input.style.setProperty("--at", percent(value));
    const box = input.closest(".latent");
    sayValue(input, box.querySelector("output"), value);
    const mark = box.querySelector("i");
    mark.hidden = origin?.mean?.[index] === undefined;
    if (mark.hidden) return;
    const [mean, deviation] = [origin.mean[index], origin.deviation[index]];
    mark.style.setProperty("--from", percent(mean - deviation));
    mark.style.setProperty("--to", percent(mean + deviation));
    mark.style.setProperty("--mean", percent(mean));
    mark.title = `${origin.words}: mean ${mean.toFixed(2)}, spread ${deviation.toFixed(2)}`;
  });
}
