// Where to start from: the mean of a class, or one of the test images.

import { explore, exploreTestImage, onVector, setWith } from "./latent.js";
import { lossName, onLoss } from "./loss.js";
import { model, onModel, partsOf, setText } from "./studio.js";
import { className, hasLongNames, isOfDigits, worded } from "./words.js";

export function mount(element, trigger) {
  const parts = partsOf(element);
  let offered = "";
  onModel((card) => {
    const labels = Object.keys(card.class_means);
    const offer = JSON.stringify([isOfDigits(), ...labels.map(className)]);
    if (offer !== offered) parts.classes.replaceChildren(...labels.map(classButton)); // else one keeps the focus
    offered = offer;
    parts.title.textContent = `Start from the mean of a ${isOfDigits() ? "digit" : "class"}`;
    parts.classes.classList.toggle("named", hasLongNames());
    trigger("change");
  });
  onVector((_, origin) => {
    const kept = setWith() ? `numbers set with ${setWith()}, which mean something else to ${model().run}` : "";
    setText(parts.about, origin ? `from ${origin.words}` : kept);
  });
  onLoss((nats) => {
    parts.loss.textContent = nats === null ? "" : `${lossName()} ${nats.toFixed(2)} nats`;
  });
  parts.test.addEventListener("click", exploreTestImage);
}

/** For Gradio: the button "Random digit", by the name of what the model has learned. */
export const randomButton = () => [{ value: worded("Random digit"), __type__: "update" }];

function classButton(label) {
  const button = document.createElement("button");
  button.type = "button";
  const name = className(label);
  button.textContent = name;
  button.title = isOfDigits() ? `The mean of the test set's ${name}s` : `The mean of class ${name} in the test set`;
  button.setAttribute("aria-label", `Mean of class ${name}`);
  button.addEventListener("click", () => explore(model().class_means[label]));
  return button;
}
