// The figures of the evaluation, each with a sentence that says what it means.

import { ask, named, tellProblem } from "./studio.js";
import { onView, showProgress, testedAddress, untilReady } from "./tested.js";

const LIKELIHOODS = {
  gaussian: "half the squared error, summed over the 784 pixels",
  bernoulli: "the cross-entropy of each pixel with its original, summed over the 784 pixels",
  calibrated: "the negative log-likelihood of the 784 pixels, at the variance that fits them best",
};

const nats = (value) => `${value.toFixed(2)} nats`;

function figures({ summary, latent_dim: latentDim, likelihood, beta }) {
  const weight = beta === 1 ? "" : ` times ${beta}`;
  return [
    ["Test loss (negative ELBO)", nats(summary.total), `Reconstruction plus KL${weight}, which training makes small; at weight 1 and up to a constant it is never less than an image's negative log-likelihood on average (Kingma and Welling 2014).`],
    ["Reconstruction", nats(summary.reconstruction), `How far the pictures are off: ${LIKELIHOODS[likelihood] ?? likelihood}, averaged over the images.`],
    ["KL", nats(summary.kl), "How much the latents say about an image: the distance from each image's distribution of latents to N(0, I)."],
    ["Mean error", summary.mse_mean.toFixed(4), "The squared difference per pixel, on a scale from 0 for equal to 1 for black instead of white."],
    ["Median error", summary.mse_median.toFixed(4), "Half of the images are nearer to their original than this."],
    ["95th percentile", summary.mse_p95.toFixed(4), "One image in twenty is further from its original than this."],
    ["Latents in use", `${summary.active_units} of ${latentDim}`, "Active units: latents whose mean varies by more than 0.01 over the test set (Burda et al. 2016); the others carry nothing."],
  ];
}

export function mount(element) {
  const parts = named(element);
  let current = null;
  onView((facts) => {
    current = facts;
    parts.numbers.replaceChildren(...figures(facts).map((row) => pair(...row)));
    showBound(parts, facts, () => facts === current).catch((error) => tellProblem(error.message));
  });
}

/** The importance-weighted bound: its value, or the way to it. */
async function showBound(parts, facts, isCurrent) {
  const url = testedAddress("bound");
  let bound = await ask(url);
  if (bound.value === null && bound.begun) {
    await untilReady(url, (share) => isCurrent() && showProgress(parts, share));
    bound = await ask(url);
  }
  if (!isCurrent()) return;
  showProgress(parts, null);
  const element = pair(
    "Importance-weighted bound",
    bound.value === null ? "not yet" : nats(bound.value),
    `A tighter bound than the loss on the negative log-likelihood, from ${bound.samples.toLocaleString("en")} weighted samples for each of ${bound.images} images (Burda et al. 2016).`,
  );
  if (bound.value === null && bound.possible) element.lastChild.append(" ", computeButton(parts, facts, isCurrent, url));
  parts.numbers.append(element);
}

function computeButton(parts, facts, isCurrent, url) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "text-button";
  button.textContent = "Compute it";
  button.addEventListener("click", async () => {
    try {
      await ask(url, { method: "POST", headers: { "X-VAE-Studio": "page" } });
      button.closest("div").remove();
      await showBound(parts, facts, isCurrent);
    } catch (error) {
      tellProblem(error.message);
    }
  });
  return button;
}

function pair(term, value, sentence) {
  const element = document.createElement("div");
  element.innerHTML = "<dt></dt><dd><strong></strong></dd><dd></dd>";
  const [name, figure, meaning] = element.children;
  name.textContent = term;
  figure.firstChild.textContent = value;
  meaning.textContent = sentence;
  return element;
}
