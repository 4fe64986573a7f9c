// Film strips: what happens along one latent, and along all of them.

import { onVector, vector } from "./latent.js";
import { change, latentsByUse, onLatent } from "./sliders.js";
import { Tiles } from "./tiles.js";
import { afterwards, modelAddress, named, onModel, whenShown, written } from "./studio.js";
import { worded } from "./words.js";

const VALUES = Array.from({ length: 11 }, (_, index) => -3 + 0.6 * index);
const RESTED_MILLISECONDS = 120;

const nameOf = (latent, value) => `Latent ${latent + 1} at ${value.toFixed(1)}`;

export function mount(element) {
  const parts = named(element);
  let latent = 0;
  const place = (index) => [latentsByUse()[Math.floor(index / VALUES.length)], VALUES[index % VALUES.length]];
  const strip = new Tiles(parts.strip, {
    words: (index) => nameOf(latent, VALUES[index]),
    choose: (index) => change(latent, VALUES[index]),
  });
  const grid = new Tiles(parts.grid, {
    words: (index) => nameOf(...place(index)),
    choose: (index) => change(...place(index)),
  });
  const show = whenShown(element, () => {
    showStrip(parts, strip, latent);
    if (!parts.whole.hidden) showGrid(parts, grid);
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
    showRested();
  });
  parts.more.addEventListener("click", () => {
    parts.whole.hidden = !parts.whole.hidden;
    parts.more.setAttribute("aria-expanded", !parts.whole.hidden);
    parts.more.textContent = parts.whole.hidden ? "Whole map" : "Hide the whole map";
    show();
  });
}

function showStrip(parts, strip, latent) {
  const rest = [...vector()];
  if (latent >= rest.length) return;
  rest[latent] = 0; // the strip is the same wherever along it the vector is
  parts.title.textContent = `What z${latent + 1} does`;
  parts.stripPicture.src = modelAddress("traversal.png", { z: written(rest), rows: latent + 1 });
  parts.stripPicture.alt = worded(`Digits decoded with z${latent + 1} from -3 to 3, the other latents as they are`);
  strip.lay(VALUES.length, VALUES.length);
  strip.mark(nearest(vector()[latent]));
}

function showGrid(parts, grid) {
  const rows = latentsByUse();
  parts.gridPicture.src = modelAddress("traversal.png", {
    z: written(vector()),
    rows: rows.map((row) => row + 1).join(),
  });
  parts.gridPicture.alt = worded(`Digits decoded with each of the ${rows.length} latents from -3 to 3`);
  parts.names.replaceChildren(
    ...rows.map((row) => {
      const name = document.createElement("span");
      name.textContent = `z${row + 1}`;
      return name;
    }),
  );
  grid.lay(rows.length * VALUES.length, VALUES.length);
  grid.name();
}

function nearest(value) {
  const distances = VALUES.map((at) => Math.abs(at - value));
  return distances.indexOf(Math.min(...distances));
}
