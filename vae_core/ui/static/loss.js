// The two terms of the loss of one digit, as the sliders move away from what the encoder chose for it.

import { onDigit } from "./digit.js";
import { foldOnPhones } from "./fold.js";
import { exploreTestImage, onVector } from "./latent.js";
import { latentsByUse } from "./sliders.js";
import { haveChildren, model, nameBar, partsOf } from "./studio.js";
import { worded } from "./words.js";

const PIXELS = 784;
const MEAN_INSTEAD_OF_HALF_SUM = PIXELS / 2;
const LEAST_TIMES = 10; // from which the KL term would win, beyond doubt
const listeners = [];
let loss = null;

/** KL of N(mean, deviation^2) to N(0, 1) for each latent, nats (Kingma and Welling 2013, appendix B). */
const klTerms = (mean, deviation) =>
  mean.map((value, index) => 0.5 * (value ** 2 + deviation[index] ** 2 - 1 - 2 * Math.log(deviation[index])));

/** Half the squared error, summed over the pixels, of two <img> of 28x28. */
function halfSquaredError(first, second) {
  const [a, b] = [pixelsOf(first), pixelsOf(second)];
  return 0.5 * a.reduce((sum, value, index) => sum + (value - b[index]) ** 2, 0);
}

/** What the loss is called that the chosen model has learned by: only with a KL of weight 1 it is the ELBO's. */
export const lossName = () => (model().beta === 1 ? "ELBO loss" : `loss (KL × ${model().beta})`);

/** Calls the listener with the loss of the digit that is explored, in nats, and with null while there is none. */
export function onLoss(listener) {
  listeners.push(listener);
  listener(loss);
}

function tell(nats) {
  loss = nats;
  for (const listener of listeners) listener(nats);
}

export function mount(element) {
  const parts = partsOf(element);
  foldOnPhones(parts.fold);
  const state = { z: [], origin: null, decoded: null };
  const show = () => update(parts, state);
  onVector((z, origin) => {
    if (origin?.picture !== state.origin?.picture && origin) {
      parts.digit.src = origin.picture;
      parts.digit.alt = origin.words;
      parts.digit.decode().then(show, () => {});
    }
    Object.assign(state, { z, origin });
    show();
  });
  onDigit((picture) => {
    state.decoded = picture;
    parts.reconstruction.src = picture.src;
    show();
  });
  parts.take.addEventListener("click", exploreTestImage);
}

function update(parts, { z, origin, decoded }) {
  const isReady = origin?.deviation?.length === z.length && decoded?.naturalWidth && parts.digit.complete && parts.digit.naturalWidth; // neither is broken
  parts.klName.textContent = `KL, all latents${model().beta === 1 ? "" : ` × ${model().beta}`}`;
  parts.sumName.textContent = `Sum: ${lossName()}`;
  parts.shown.classList.toggle("empty", !isReady);
  parts.bars.classList.toggle("empty", !isReady);
  if (!isReady) {
    for (const figure of [parts.squared, parts.kl, parts.sum]) figure.textContent = "–";
    for (const bar of [parts.squaredBar, parts.klBar]) bar.style.removeProperty("--share");
    parts.words.textContent = worded("Take a digit, then move the sliders: see what each move costs, in nats.");
    tell(null);
    return;
  }
  const squared = halfSquaredError(parts.digit, decoded);
  const terms = klTerms(z, origin.deviation);
  const kl = model().beta * terms.reduce((sum, term) => sum + term, 0);
  const most = Math.max(squared, kl, 20);
  parts.squared.textContent = `${squared.toFixed(2)} nats`;
  parts.kl.textContent = `${kl.toFixed(2)} nats`;
  parts.sum.textContent = `${(squared + kl).toFixed(2)} nats`;
  parts.squaredBar.style.setProperty("--share", `${(100 * squared) / most}%`);
  parts.klBar.style.setProperty("--share", `${(100 * kl) / most}%`);
  showBars(parts.bars, terms);
  tell(squared + kl);
  const mean = squared / MEAN_INSTEAD_OF_HALF_SUM;
  const times = Math.round(kl / Math.max(mean, 1e-6));
  const collapse = `: the KL would outweigh it ${times} to 1, and the model would learn to say nothing (collapse)`;
  const own = model().likelihood;
  const counted = own === "gaussian" ? "" : `${model().run} has learned by another first term, ${own}: this is the reference's. `;
  parts.words.textContent =
    `${counted}The sliders stand for the mean; the spread is the encoder's. With the mean over the pixels the first term would be ` +
    `${mean.toFixed(3)}, 392 times less${times >= LEAST_TIMES ? collapse : ""}.`; // one that says nothing has no KL
}

function showBars(bars, terms) {
  const order = latentsByUse();
  const highest = Math.max(2, ...terms);
  haveChildren(bars, order.length);
  order.forEach((latent, at) => {
    bars.children[at].style.height = `${Math.max(2, (100 * terms[latent]) / highest)}%`;
    nameBar(bars.children[at], latent, terms[latent], order.length);
  });
}

const canvas = document.createElement("canvas");
canvas.width = canvas.height = 28;
const context = canvas.getContext("2d", { willReadFrequently: true });

function pixelsOf(picture) {
  context.drawImage(picture, 0, 0, 28, 28);
  const { data } = context.getImageData(0, 0, 28, 28);
  return Array.from({ length: PIXELS }, (_, index) => data[4 * index] / 255);
}
