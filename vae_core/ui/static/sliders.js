// One slider for each latent.

import { normal, onVector, setVector, vector } from "./latent.js";
import { named, onModel } from "./studio.js";

const LIMIT = 3;
const UNUSED_NATS = 0.05;

export function mount(element) {
  const parts = named(element);
  let inputs = [];
  onModel((card) => {
    inputs = Array.from({ length: card.latent_dim }, (_, index) => makeSlider(index, card));
    parts.sliders.replaceChildren(...inputs.map((input) => input.closest(".latent")));
    show(inputs, vector());
  });
  onVector((z) => show(inputs, z));
}

/** Button "Random digit": a vector from the prior, within the sliders' reach. */
export function randomise() {
  setVector(vector().map(() => Math.max(-LIMIT, Math.min(LIMIT, normal()))));
}

/** Button "Reset": the middle of the latent space. */
export function reset() {
  setVector(vector().map(() => 0));
}

function makeSlider(index, card) {
  const kl = card.kl_per_dimension?.[index];
  const box = document.createElement("div");
  box.className = "latent";
  box.innerHTML = `
    <label for="latent-${index + 1}">z${index + 1} <small></small></label>
    <output for="latent-${index + 1}"></output>
    <input type="range" id="latent-${index + 1}" min="${-LIMIT}" max="${LIMIT}" step="0.01">`;
  if (kl !== undefined) {
    box.querySelector("small").textContent = kl < UNUSED_NATS ? "unused" : `${kl.toFixed(2)} nats`;
    box.classList.toggle("unused", kl < UNUSED_NATS);
  }
  const input = box.querySelector("input");
  input.addEventListener("input", () => change(index, Number(input.value)));
  input.addEventListener("dblclick", () => change(index, 0));
  return input;
}

function change(index, value) {
  const z = [...vector()];
  z[index] = value;
  setVector(z);
}

function show(inputs, z) {
  inputs.forEach((input, index) => {
    const value = z[index] ?? 0;
    if (Number(input.value) !== value) input.value = value;
    input.style.setProperty("--at", `${((Number(input.value) + LIMIT) / (2 * LIMIT)) * 100}%`);
    input.previousElementSibling.value = value.toFixed(2);
  });
}
