// The figures of the evaluation, each with a sentence that says what it means.

import { foldOnPhones } from "./fold.js";
import { LEAST_NATS } from "./latent.js";
import { OURS, ask, partsOf, passFocus, tellProblem, untilReady } from "./studio.js";
import { measuredAddress, onView, showProgress } from "./tested.js";

const LIKELIHOODS = {
  gaussian: "half the squared error, summed over the 784 pixels",
  bernoulli: "the cross-entropy of each pixel with its original, summed over the 784 pixels",
  calibrated: "the negative log-likelihood of the 784 pixels, at the variance that fits them best",
};

const nats = (value) => `${value.toFixed(2)} nats`;

function figures({ summary, latents, latent_dim: latentDim, active_variance: activeVariance, likelihood, beta }) {
  const weight = beta === 1 ? "" : ` times ${beta}`;
  const loss =
    latents === "mean"
      ? ["Test loss, from the mean", `Reconstruction from the posterior's mean plus KL${weight}: as no noise is drawn, it is lower than the loss that training makes small, and no bound on the likelihood.`]
      : [beta === 1 ? "Test loss (negative ELBO)" : `Test loss, KL × ${beta}`, `Reconstruction plus KL${weight}, which training makes small; at weight 1 and up to a constant it is never less than an image's negative log-likelihood on average (Kingma and Welling 2014).`];
  return [
    [loss[0], nats(summary.total), loss[1]],
    ["Reconstruction", nats(summary.reconstruction), `How far the pictures are off: ${LIKELIHOODS[likelihood] ?? likelihood}, averaged over the images.`],
    ["KL", nats(summary.kl), "How much the latents say about an image: the distance from each image's distribution of latents to N(0, I)."],
    ["Mean error", summary.mse_mean.toFixed(4), "The squared difference per pixel, on a scale from 0 for equal to 1 for black instead of white."],
    ["Median error", summary.mse_median.toFixed(4), "Half of the images are nearer to their original than this."],
    ["95th percentile", summary.mse_p95.toFixed(4), "One image in twenty is further from its original than this."],
    ["Active units", `${summary.active_units} of ${latentDim}`, `Latents whose mean varies by more than ${activeVariance} over the test set (Burda et al. 2016), however little they tell; the others carry nothing. Train counts those with more than ${LEAST_NATS} nats of KL: another measure.`],
  ];
}

/** The figures that take a minute to measure; those that are not there yet say so. */
function laterFigures({ summary, bound_samples: samples, bound_images: images, generated, confident, judged }, { loss_kind: kind, plural }) {
  const isJudged = summary.frechet_prior !== null || (judged && !summary.samples_note); // or will be
  const each = `from ${samples.toLocaleString("en")} weighted samples for each of ${images} images (Burda et al. 2016)`;
  return [
    ["Importance-weighted bound", later(summary.iwae, nats), `A tighter bound than the loss on the negative log-likelihood, ${each}.`],
    ...(!kind
      ? []
      : [
          ["Loss at unit variance", nats(summary.total_unit_variance), "What the reference's loss would be: half the squared error plus the KL. The loss above is of another likelihood or KL weight and cannot be compared with the reference's; this can, and so can errors."],
          ["Bound at unit variance", later(summary.iwae_unit_variance, nats), `The importance-weighted bound under the reference's likelihood, ${each}: comparable between models.`],
        ]),
    ...(!isJudged ? [] : samplesInFigures(summary, generated, confident, plural)),
  ];
}

function samplesInFigures(summary, generated, confident, plural) {
  return [
    ["Fréchet distance of samples", samplers(summary.frechet_prior, summary.frechet_mixture, (value) => value.toFixed(1)), `Between ${generated.toLocaleString("en")} generated ${plural} and the test images, in the features of a small classifier (Heusel et al. 2017): from the prior N(0, I), and from a Gaussian mixture of the training encodings. Less is better; compare only with figures of this app.`],
    ["Samples that can be read", samplers(summary.confident_prior, summary.confident_mixture, (value) => `${(100 * value).toFixed(0)}%`), `Generated images that the classifier gives at least ${100 * confident}% to one class: from the prior, and from the mixture.`],
  ];
}

const later = (value, words) => (value === null ? "not yet" : words(value));

function samplers(prior, mixture, words) {
  if (prior === null) return "not yet";
  return mixture === null ? words(prior) : `${words(prior)} · ${words(mixture)}`;
}

export function mount(element) {
  const parts = partsOf(element);
  foldOnPhones(parts.fold);
  let current = null;
  const show = (facts) =>
    showAll(parts, facts, () => facts === current).catch((error) => {
      if (facts !== current) return;
      showProgress(parts, null);
      parts.rest.hidden = false; // it can be tried again
      tellProblem(error.message);
    });
  onView((facts) => {
    current = facts;
    show(facts);
  });
  parts.measure.addEventListener("click", async () => {
    passFocus(parts.rest, parts.fold.querySelector("summary"));
    parts.rest.hidden = true;
    try {
      await ask(measuredAddress("figures"), { method: "POST", headers: OURS });
    } catch (error) {
      tellProblem(error.message);
    }
    show(current);
  });
}

async function showAll(parts, facts, isCurrent) {
  parts.numbers.replaceChildren(...figures(facts).map((row) => pair(...row)));
  parts.note.hidden = parts.rest.hidden = true;
  parts.title.textContent = facts.beside ? `What the numbers of ${facts.run} mean` : "What the numbers mean";
  const tell = (share, step) => {
    showProgress(parts, share);
    parts.step.textContent = step || "Waiting for its turn";
  };
  const answer = await untilReady(measuredAddress("figures"), tell, isCurrent);
  if (answer === null) return;
  showProgress(parts, null);
  const note = answer.summary.samples_note;
  parts.numbers.append(...laterFigures(answer, facts).map((row) => pair(...row)));
  parts.note.hidden = !note;
  parts.note.textContent = `About the samples: ${note}.`;
  parts.rest.hidden = answer.complete || !answer.possible;
  parts.cost.textContent = `${answer.judged ? "Bounds and the quality of samples" : "Bounds"}: about a minute.`;
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
