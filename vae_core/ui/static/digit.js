// The decoded digit: follows the vector as fast as the server answers, and never queues. Beside it, if one
// is chosen, what a second model makes of the same picture, or of the same vector.

import { onOther, other } from "./compare.js";
import { encode, onVector, setVector, source, vector } from "./latent.js";
import { AGAIN_MILLISECONDS, EMPTY, Latest, model, modelAddress, partsOf, tellProblem, whyMissing, withdrawProblem, written } from "./studio.js";
import { worded } from "./words.js";

const listeners = [];
let shown = null;
let painted = EMPTY; // the address of the last digit that could be decoded
let failure = ""; // as it was told
let trial = 0; // the timer of the next one
let read = {}; // the picture that a second model has read last

/** Calls the listener with the <img> of the decoded digit whenever another one is painted. */
export function onDigit(listener) {
  listeners.push(listener);
  if (shown) listener(shown);
}

export function mount(element) {
  const parts = partsOf(element);
  const show = new Latest(async (z) => {
    clearTimeout(trial);
    const card = model();
    parts.picture.src = modelAddress("decode.png", { z: written(z) });
    try {
      await parts.picture.decode();
    } catch {
      const why = await whyMissing(parts.picture);
      if (card !== model()) return; // the next one is by the model that is chosen now
      failure = `${worded("The digit could not be decoded.")} ${why}`;
      tellProblem(failure);
      parts.picture.src = painted;
      // For all that shows the vector: what was in the way of the digit was so of the film strips too.
      trial = setTimeout(() => setVector(vector()), AGAIN_MILLISECONDS);
      return;
    } finally {
      parts.picture.parentElement.ariaBusy = "false"; // "Loading…" is over
    }
    if (failure) withdrawProblem(failure);
    failure = "";
    painted = parts.picture.src;
    shown = parts.picture;
    for (const listener of listeners) listener(shown);
  });
  const showOther = new Latest(() => compare(parts).catch((error) => tellProblem(error.message)));
  onVector((z) => {
    show.submit(z);
    showOther.submit();
  });
  onOther(() => showOther.submit());
}

/** What a model makes of a picture; asked once, however much the vector moves meanwhile. */
async function reconstructed(picture, card) {
  if (read.picture !== picture || read.card !== card) {
    read = { picture, card, reconstruction: (await encode(picture, card)).reconstruction };
  }
  return read.reconstruction;
}

/** Whether the vector is still what the model made of its picture: once it has left, only numbers can be shared. */
function isMeanOf({ mean }) {
  return mean.every((value, latent) => Math.abs(value - vector()[latent]) < 1e-3);
}

async function compare({ words, second, otherPicture, otherWords }) {
  const card = other();
  second.hidden = words.hidden = card === null;
  if (card === null) return;
  words.textContent = model()?.run ?? "";
  const say = (picture, said) => {
    otherPicture.src = picture;
    otherWords.textContent = otherPicture.alt = said;
  };
  const from = source();
  const canShare = card.latent_dim === vector().length;
  if (from && (!canShare || isMeanOf(from))) {
    const stays = canShare ? "" : `; it has ${card.latent_dim} latents and cannot follow the sliders`;
    say(await reconstructed(from.picture, card), `${card.run}, same picture${stays}`);
  } else if (canShare) {
    say(modelAddress("decode.png", { z: written(vector()) }, card), `${card.run}, same vector, which means something else to it`);
    await otherPicture.decode().catch(() => {});
  } else {
    say(EMPTY, `${card.run} has ${card.latent_dim} latents, so it cannot share a vector: explore from a picture.`);
  }
}
