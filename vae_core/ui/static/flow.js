// What becomes of a drawing: what the model sees, its latents, the reconstruction, the difference.

import { onReconstruction } from "./sketch.js";
import { named } from "./studio.js";

const EMPTY = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=";
const REACH = 3.5;

export function mount(element) {
  const parts = named(element);
  showNothing(parts);
  onReconstruction((answer) => {
    if (answer === null) showNothing(parts);
    else if (answer.problem) parts.verdict.textContent = answer.problem;
    else show(parts, answer);
  });
}

function showNothing(parts) {
  for (const name of ["seen", "reconstruction", "difference"]) parts[name].src = EMPTY;
  parts.verdict.textContent = "Draw a digit on the left. The model answers while you draw.";
  parts.bars.replaceChildren();
}

function show(parts, answer) {
  for (const name of ["seen", "reconstruction", "difference"]) parts[name].src = answer[name];
  parts.verdict.textContent = verdict(answer);
  showBars(parts.bars, answer);
}

function verdict({ error, rank }) {
  const measured = `Error ${error.toFixed(4)} per pixel`;
  if (rank === null) return `${measured}.`;
  const share = Math.round(rank * 100);
  if (share >= 95) return `${measured}, more than ${share} % of the test digits: the model has not seen many like this.`;
  return `${measured}, more than ${share} % of the test digits have.`;
}

function showBars(bars, { mean, deviation, kl }) {
  while (bars.children.length > mean.length) bars.lastChild.remove();
  while (bars.children.length < mean.length) bars.append(makeBar(bars.children.length));
  mean.forEach((value, index) => {
    const bar = bars.children[index];
    const at = (x) => `${((Math.max(-REACH, Math.min(REACH, x)) + REACH) / (2 * REACH)) * 100}%`;
    bar.style.setProperty("--from", at(value - deviation[index]));
    bar.style.setProperty("--to", at(value + deviation[index]));
    bar.style.setProperty("--mean", at(value));
    bar.title = `z${index + 1}: mean ${value.toFixed(2)}, spread ${deviation[index].toFixed(2)}, KL ${kl[index].toFixed(2)} nats`;
  });
}

function makeBar(index) {
  const bar = document.createElement("div");
  bar.className = "bar";
  bar.innerHTML = `<span>z${index + 1}</span><i></i>`;
  return bar;
}
