// The decoded digit: follows the vector as fast as the server answers, and never queues. Beside it, if one
// is chosen, what a second model makes of the same vector, or of the same picture.

import { onOther, other } from "./compare.js";
import { onVector, source, vector } from "./latent.js";
import { EMPTY, Latest, ask, modelAddress, named, tellProblem, written } from "./studio.js";
import { worded } from "./words.js";

const listeners = [];
let shown = null;
let hasFailed = false;

/** Calls the listener with the <img> of the decoded digit whenever another one is painted. */
export function onDigit(listener) {
  listeners.push(listener);
  if (shown) listener(shown);
}

export function mount(element) {
  const parts = named(element);
  const show = new Latest(async (z) => {
    parts.picture.src = modelAddress("decode.png", { z: written(z) });
    try {
      await parts.picture.decode();
    } catch {
      hasFailed = true;
      tellProblem(worded("The digit could not be decoded: the app does not answer, or the model is gone."));
      return;
    }
    if (hasFailed) tellProblem(null);
    hasFailed = false;
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

async function compare({ second, otherPicture, otherWords }) {
  const card = other();
  second.hidden = card === null;
  if (card === null) return;
  const say = (picture, words) => {
    otherPicture.src = picture;
    otherWords.textContent = otherPicture.alt = words;
  };
  if (card.latent_dim === vector().length) {
    say(modelAddress("decode.png", { z: written(vector()) }, card), `${card.run}, same vector`);
    await otherPicture.decode().catch(() => {});
  } else if (source()) {
    const body = await (await fetch(source().picture)).blob();
    const answer = await ask(modelAddress("sketch", { centre: false }, card), { method: "POST", body });
    say(answer.reconstruction, `${card.run}, same picture`);
  } else {
    say(EMPTY, `${card.run} has ${card.latent_dim} latents, so it cannot share a vector: explore from a picture.`);
  }
}
