// Where to start from: the mean of a class, or one of the test images.

import { explore, onVector } from "./latent.js";
import { address, ask, modelAddress, named, onModel, tellProblem } from "./studio.js";

export function mount(element) {
  const parts = named(element);
  onModel((card) => parts.classes.replaceChildren(...Object.entries(card.class_means).map(classButton)));
  onVector((_, origin) => {
    parts.about.textContent = origin ? `from ${origin.words}` : "";
  });
  parts.test.addEventListener("click", () => exploreTestImage().catch((error) => tellProblem(error.message)));
}

/** One of the test images, any one by default, with the model's own mean and spread. */
export async function exploreTestImage(wanted = null) {
  const { count } = await ask(address("test-images"));
  const index = wanted ?? Math.floor(Math.random() * count);
  const { label, seen, mean, deviation } = await ask(modelAddress(`test-images/${index}`));
  explore(mean, { words: `test image ${index}, a ${label}`, picture: seen, mean, deviation });
}

function classButton([label, mean]) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = label;
  button.title = `The mean of the test set's ${label}s`;
  button.setAttribute("aria-label", `Mean of class ${label}`);
  button.addEventListener("click", () => explore(mean));
  return button;
}
