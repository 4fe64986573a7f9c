// Where to start from: the mean of a class, or one of the test images.

import { explore, onVector } from "./latent.js";
import { address, ask, modelAddress, named, onModel, tellProblem } from "./studio.js";
import { className, hasLongNames, isOfDigits, worded } from "./words.js";

export function mount(element, trigger) {
  const parts = named(element);
  onModel((card) => {
    parts.classes.classList.toggle("named", hasLongNames());
    parts.classes.replaceChildren(...Object.entries(card.class_means).map(classButton));
    trigger("change");
  });
  onVector((_, origin) => {
    parts.about.textContent = origin ? `from ${origin.words}` : "";
  });
  parts.test.addEventListener("click", () => exploreTestImage().catch((error) => tellProblem(error.message)));
}

/** For Gradio: the button "Random digit", by the name of what the model has learned. */
export const randomButton = () => [{ value: worded("Random digit"), __type__: "update" }];

/** One of the test images, any one by default, with the model's own mean and spread. */
export async function exploreTestImage(wanted = null) {
  const { count } = await ask(address("test-images"));
  const index = wanted ?? Math.floor(Math.random() * count);
  const { called, seen, mean, deviation } = await ask(modelAddress(`test-images/${index}`));
  explore(mean, { words: `test image ${index}, ${called}`, picture: seen, mean, deviation });
}

function classButton([label, mean]) {
  const button = document.createElement("button");
  button.type = "button";
  const name = className(label);
  button.textContent = name;
  button.title = isOfDigits() ? `The mean of the test set's ${name}s` : `The mean of class ${name} in the test set`;
  button.setAttribute("aria-label", `Mean of class ${name}`);
  button.addEventListener("click", () => explore(mean));
  return button;
}
