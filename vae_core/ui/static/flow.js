// What becomes of a drawing: what the model sees, its latents, the reconstruction, the difference, the verdict.

import { explore } from "./latent.js";
import { onReconstruction, setReading, takeTestImage } from "./sketch.js";
import { latentsByUse } from "./sliders.js";
import { Tiles } from "./tiles.js";
import { EMPTY, haveChildren, model, onModel, partsOf, passFocus } from "./studio.js";
import { imagesOf, worded } from "./words.js";

const REACH = 3.5;
const PICTURES = ["seen", "reconstruction", "difference"];

export function mount(element) {
  const parts = partsOf(element);
  let answer = null;
  let seed = 0;
  const origin = () => ({ words: answer.taken ? `${answer.taken.words}, on the pad` : "your drawing", picture: answer.seen, mean: answer.mean, deviation: answer.deviation });
  const restUntilAnswered = () => {
    parts.explore.inert = parts.resampled.inert = answer !== null && answer.run !== model().run; // of the last model
  };
  const samples = new Tiles(parts.samples, {
    words: (index) => `Explore sample ${index + 1}`,
    choose: (index) => explore(answer.samples.z[index], origin()),
  });
  showNothing(parts);
  onReconstruction((news) => {
    if (news?.isOfFile) return;
    answer = news?.problem ? null : news; // the problem is said beside the pad, by pen.js
    if (answer === null) showNothing(parts);
    else show(parts, answer, samples);
    restUntilAnswered();
  });
  onModel(() => {
    if (answer === null) showNothing(parts);
    restUntilAnswered();
  });
  parts.test.addEventListener("click", takeTestImage);
  parts.explore.addEventListener("click", () => explore(answer.z, origin()));
  parts.resample.addEventListener("click", () => setReading({ seed: (seed += 1) }));
  parts.byMean.addEventListener("change", () => setReading({ sampled: false }));
  parts.bySample.addEventListener("change", () => setReading({ sampled: true }));
}

function showNothing(parts) {
  parts.flow.classList.add("empty");
  for (const name of PICTURES) parts[name].src = EMPTY;
  parts.verdict.textContent = worded("Draw a digit, or open a photo of one. The model answers while you draw.");
  parts.seenWords.textContent = "28×28 pixels, nothing else";
  showBars(parts.bars, null);
  parts.resampled.hidden = parts.explore.hidden = true;
  parts.test.hidden = false;
  showSecond(parts, null);
}

function show(parts, answer, samples) {
  parts.flow.classList.remove("empty");
  for (const name of PICTURES) parts[name].src = answer[name];
  parts.verdict.textContent = verdict(answer);
  parts.resampled.hidden = parts.explore.hidden = false;
  passFocus(parts.test, parts.explore);
  parts.test.hidden = true;
  parts.samplePictures.src = answer.samples.picture;
  samples.lay(answer.samples.z.length, answer.samples.z.length);
  showSecond(parts, answer);
  showBars(parts.bars, answer);
}

/** Two reconstructions stand side by side, each with its model's name. */
function showSecond({ flow, second, words, otherPicture, otherWords }, answer) {
  const other = answer?.second;
  const isThere = Boolean(other) && !other.empty; // or the reason why not
  flow.classList.toggle("compared", isThere);
  second.hidden = !isThere;
  words.textContent = isThere ? inShort(model().run, answer) : "";
  if (!isThere) return;
  otherPicture.src = other.reconstruction ?? EMPTY;
  otherPicture.alt = other.problem ? "" : `What ${other.run} makes of it`;
  otherWords.textContent = other.problem?.message ?? inShort(other.run, other);
}

/** With both terms of the loss: a model may pay for a small error with a large KL. */
const inShort = (run, { error, kl }) => `${run}: error ${error.toFixed(4)}, KL ${kl.reduce((sum, nats) => sum + nats).toFixed(1)} nats`;

function verdict({ error, placement, unmeasured }) {
  const measured = `Error ${error.toFixed(4)} per pixel`;
  if (!placement) return `${measured}. There is nothing to compare it with: ${unmeasured}.`;
  const unusual = placement.is_unusual ? " The model has not seen many like this." : "";
  return `${likeliestInWords(placement)} ${measured}, ${amongOthers(placement.error_rank)}.${unusual}`;
}

/** Of which classes the picture is, by its place in the latent space, and of which its reconstruction. */
function likeliestInWords({ likeliest, read_as: readAs, distance_rank: distanceRank, outward_rank: outwardRank, is_remote: isRemote }) {
  const [[first, probability], [second, rest] = []] = likeliest;
  const readsAs = `Its reconstruction is read as one of ${imagesOf(readAs)}.`;
  if (isRemote) {
    const others = Math.max(distanceRank, outwardRank) === 1 ? "any test image" : "99% of the test images";
    const where = distanceRank >= outwardRank ? `from them than ${others} from theirs` : `out in the latent space than ${others}`;
    return `Your picture is most like ${imagesOf(first)}, but farther ${where}. ${readsAs}`;
  }
  if (probability < 0.9) {
    return `Your picture lies between ${imagesOf(first)} (${percent(probability)}) and ${imagesOf(second)} (${percent(rest)}). ${readsAs}`;
  }
  return `Your picture lies among ${imagesOf(first)}${readAs === first ? ", and so does its reconstruction." : `. ${readsAs}`}`;
}

/** An error beside those of the test images, of which a share has a lower one. */
function amongOthers(rank) {
  const share = Math.max(rank, 1 - rank);
  const others = share === 1 ? "every test image" : `${Math.min(Math.round(share * 100), 99)}% of the test images`;
  return `${rank > 0.5 ? "higher" : "lower"} than that of ${others}`;
}

const percent = (share) => `${Math.round(100 * share)}%`;

/** A bar for each latent, the most used first; without an answer they are empty. */
function showBars(bars, answer) {
  const order = latentsByUse();
  haveChildren(bars, order.length, makeBar);
  order.forEach((latent, row) => {
    const bar = bars.children[row];
    const at = (x) => `${((Math.max(-REACH, Math.min(REACH, x)) + REACH) / (2 * REACH)) * 100}%`;
    bar.firstChild.textContent = `z${latent + 1}`;
    if (answer === null) return;
    const { mean, deviation, kl, z } = answer;
    bar.style.setProperty("--from", at(mean[latent] - deviation[latent]));
    bar.style.setProperty("--to", at(mean[latent] + deviation[latent]));
    bar.style.setProperty("--mean", at(mean[latent]));
    bar.style.setProperty("--z", at(z[latent]));
    const beyond = Math.abs(mean[latent]) > REACH ? mean[latent].toFixed(1) : "";
    bar.querySelector("em").textContent = beyond && (mean[latent] < 0 ? `← ${beyond}` : `${beyond} →`);
    bar.classList.toggle("low", mean[latent] < 0);
    bar.title = `z${latent + 1}: mean ${mean[latent].toFixed(2)}, spread ${deviation[latent].toFixed(2)}, KL ${kl[latent].toFixed(2)} nats`;
  });
}

function makeBar() {
  const bar = document.createElement("div");
  bar.className = "bar";
  bar.innerHTML = "<span></span><i><b></b><em></em></i>";
  return bar;
}
