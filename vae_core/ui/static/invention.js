// One generated image beside the training image that is most like it.

import { onTile } from "./generated.js";
import { explore } from "./latent.js";
import { EMPTY, Latest, ask, modelAddress, partsOf } from "./studio.js";

const REMEMBERED_SHARE = 0.01; // fewer unseen images of its class come as near, so chance is unlikely

export function mount(element) {
  const parts = partsOf(element);
  const invitation = parts.words.textContent;
  let answer = null;
  /** Without an answer the frames are empty, and everything keeps its place. */
  const fill = (words, news = null) => {
    answer = news;
    parts.pair.classList.toggle("empty", news === null);
    parts.explore.disabled = news === null;
    parts.picture.src = news?.picture ?? EMPTY;
    parts.nearest.src = news?.nearest.picture ?? EMPTY;
    parts.nearest.alt = news ? `Training image ${news.nearest.index}, ${news.nearest.called}` : "";
    parts.words.textContent = words;
  };
  const show = new Latest(async ({ index, wanted }) => {
    if (index === null) return fill(invitation);
    fill("Looking through the training images…");
    try {
      const news = await ask(modelAddress(`generated/${index}`, wanted));
      fill(verdict(news), news);
    } catch (error) {
      fill(error.message);
    }
  });
  onTile((news) => show.submit(news));
  parts.explore.addEventListener("click", () => explore(answer.z));
}

function verdict({ nearest, images, learned, has_all: hasAll, unseen }) {
  const sentence =
    `Of ${images.toLocaleString("en")} training images this one, ${nearest.called}, is nearest: ` +
    `they differ by ${nearest.error.toFixed(4)} per pixel.`;
  if (!hasAll) {
    return `${sentence} The model learned from ${learned.toLocaleString("en")} images that are not all here, so this cannot tell.`;
  }
  const { count, called, nearer } = unseen;
  const like = `${count} test images${called ? ` of ${called}` : ""}, which the model never saw,`;
  const isMemory = nearer < REMEMBERED_SHARE * count;
  return (
    `${sentence} Of ${like} ${nearer || "none"} ${nearer === 1 ? "comes" : "come"} out nearer to one: ` +
    `${isMemory ? "it may be remembered" : "no sign of memory"}.`
  );
}
