// Film strips: what happens along one latent, and along all of them.

import { onVector, vector } from "./latent.js";
import { change, latentsByUse, onLatent } from "./sliders.js";
import { Tiles } from "./tiles.js";
import { afterwards, isShown, modelAddress, onModel, partsOf, whenShown, written } from "./studio.js";
import { worded } from "./words.js";

/** Those of TRAVERSAL in routes/explore.py. */
const VALUES = Array.from({ length: 11 }, (_, index) => -3 + 0.6 * index);
const RESTED_MILLISECONDS = 120;
const MOVING_MILLISECONDS = 700; // the strip alone is drawn so often while the vector moves on

const nameOf = (latent, value) => `Latent ${latent + 1} at ${value.toFixed(1)}`;

export function mount(element) {
  const parts = partsOf(element);
  let latent = 0;
  const strip = new Tiles(parts.strip, {
    words: (index) => nameOf(latent, VALUES[index]),
    choose: (index) => change(latent, VALUES[index]),
  });
  const halves = [
    new Half(parts.usedMore, (rows) => rows.slice(0, Math.ceil(rows.length / 2)), (count) => `each of the ${count} latents used most`),
    new Half(parts.usedLess, (rows) => rows.slice(Math.ceil(rows.length / 2)), (count) => `each of the other ${count}`),
  ];
  let shownAt = 0;
  const showOne = () => {
    shownAt = performance.now();
    showStrip(parts, strip, latent);
  };
  const show = whenShown(element, () => {
    showOne();
    if (!parts.whole.hidden) for (const half of halves) half.show();
  });
  const showRested = afterwards(show, RESTED_MILLISECONDS);
  onModel(show);
  onLatent((index) => {
    latent = index;
    strip.name();
    show();
  });
  onVector((z) => {
    strip.mark(nearest(z[latent]));
    if (performance.now() - shownAt > MOVING_MILLISECONDS && isShown(element)) showOne();
    showRested();
  });
  parts.more.addEventListener("click", () => {
    parts.whole.hidden = !parts.whole.hidden;
    parts.more.setAttribute("aria-expanded", !parts.whole.hidden);
    parts.more.textContent = parts.whole.hidden ? "All latents" : "Hide all latents";
    show();
  });
}

function showStrip(parts, strip, latent) {
  const rest = [...vector()];
  if (latent >= rest.length) return;
  rest[latent] = 0; // the strip is the same wherever along it the vector is
  parts.title.textContent = `What z${latent + 1} does`;
  const source = modelAddress("traversal.png", { z: written(rest), rows: latent + 1 });
  const isBroken = parts.stripPicture.complete && !parts.stripPicture.naturalWidth; // and may come this time
  if (parts.stripPicture.src !== source || isBroken) parts.stripPicture.src = source;
  parts.stripPicture.alt = worded(`Digits decoded with z${latent + 1} from -3 to 3, the other latents as they are`);
  strip.lay(VALUES.length, VALUES.length);
  strip.mark(nearest(vector()[latent]));
}

/** Half of the whole map: side by side with the other where there is room for both. */
class Half {
  #element;
  #part;
  #words;
  #tiles;

  /** part(rows): which of the latents, the most used first; words(count): what they are called. */
  constructor(element, part, words) {
    [this.#element, this.#part, this.#words] = [element, part, words];
    this.#tiles = new Tiles(element.querySelector(".tiles"), {
      words: (index) => nameOf(...this.#place(index)),
      choose: (index) => change(...this.#place(index)),
    });
  }

  get #rows() {
    return this.#part(latentsByUse());
  }

  #place(index) {
    return [this.#rows[Math.floor(index / VALUES.length)], VALUES[index % VALUES.length]];
  }

  show() {
    const rows = this.#rows;
    this.#element.hidden = rows.length === 0;
    if (this.#element.hidden) return;
    const picture = this.#element.querySelector("img");
    picture.src = modelAddress("traversal.png", { z: written(vector()), rows: rows.map((row) => row + 1).join() });
    picture.alt = worded(`Digits decoded with ${this.#words(rows.length)} from -3 to 3`);
    this.#element.querySelector(".row-names").replaceChildren(...rows.map(nameOfRow));
    this.#tiles.lay(rows.length * VALUES.length, VALUES.length);
    this.#tiles.name();
  }
}

function nameOfRow(row) {
  const name = document.createElement("span");
  name.textContent = `z${row + 1}`;
  return name;
}

function nearest(value) {
  const distances = VALUES.map((at) => Math.abs(at - value));
  return distances.indexOf(Math.min(...distances));
}
