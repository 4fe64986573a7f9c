// One generated image beside the training image that is most like it.

import { onTile } from "./generated.js";
import { explore } from "./latent.js";
import { Latest, ask, model, modelAddress, named } from "./studio.js";
import { isOfDigits } from "./words.js";

export function mount(element) {
  const parts = named(element);
  let answer = null;
  const show = new Latest(async ({ index, wanted }) => {
    parts.invite.hidden = index !== null;
    parts.shown.hidden = true;
    parts.state.hidden = index === null;
    if (index === null) return;
    parts.state.textContent = "Looking through the training images…";
    try {
      answer = await ask(modelAddress(`generated/${index}`, wanted));
    } catch (error) {
      parts.state.textContent = error.message;
      return;
    }
    parts.state.hidden = true;
    parts.shown.hidden = false;
    parts.picture.src = answer.picture;
    parts.nearest.src = answer.nearest.picture;
    parts.nearest.alt = `Training image ${answer.nearest.index}, ${answer.nearest.called}`;
    parts.words.textContent = verdict(answer);
  });
  onTile((news) => show.submit(news));
  parts.explore.addEventListener("click", () => explore(answer.z));
}

function verdict({ nearest, images }) {
  const usual = model().mean_errors?.mse_mean;
  const sentence =
    `Of ${images.toLocaleString("en")} training images this one, ${nearest.called}, is nearest: ` +
    `they differ by ${nearest.error.toFixed(4)} per pixel.`;
  if (!usual) return sentence;
  const isMemory = nearest.error < usual;
  const than = `the model's usual error on an image it is shown (${usual.toFixed(4)})`;
  return isMemory
    ? `${sentence} That is less than ${than}: it may as well be that image.`
    : `${sentence} That is more than ${than}: it is ${isOfDigits() ? "nobody's digit" : "none of them"}.`;
}
