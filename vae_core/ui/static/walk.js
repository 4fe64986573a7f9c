// An animated walk through the latent space, to look at and to take along.

import { onTile } from "./generated.js";
import { GRID } from "./lesson.js";
import { model, modelAddress, onModel, partsOf, whyMissing } from "./studio.js";

const FIRST = "Start a walk";

export function mount(element) {
  const parts = partsOf(element);
  let steps = 0;
  let wanted = {};
  onTile((news) => {
    wanted = news.wanted;
  });
  onModel(() => {
    parts.frame.hidden = parts.gif.hidden = parts.webp.hidden = parts.problem.hidden = true;
    parts.go.textContent = FIRST;
  });
  parts.go.addEventListener("click", async () => {
    if (parts.go.ariaDisabled === "true") return;
    const { count, ...others } = wanted;
    const of = model();
    const way = { ...others, seed: (wanted.seed + steps) % (GRID.seed[1] + 1) };
    steps += 1;
    parts.picture.src = modelAddress("walk.webp", way);
    for (const kind of ["gif", "webp"]) {
      parts[kind].href = modelAddress(`walk.${kind}`, way);
      parts[kind].download = `walk-seed-${way.seed}.${kind}`;
    }
    parts.go.ariaDisabled = "true"; // and keeps the focus
    parts.go.textContent = "Making the pictures…";
    parts.problem.hidden = true;
    try {
      await parts.picture.decode();
      if (of === model()) parts.frame.hidden = parts.gif.hidden = parts.webp.hidden = false;
    } catch {
      parts.problem.textContent = `The walk could not be made. ${await whyMissing(parts.picture)}`;
      parts.problem.hidden = of !== model();
    }
    parts.go.ariaDisabled = "false";
    parts.go.textContent = of === model() ? "Another walk" : FIRST;
  });
}
