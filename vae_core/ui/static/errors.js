// The histogram of the test errors, and the figures of the evaluation.

import { draw } from "./plots.js";
import { ask, isShown, modelAddress, named, onModel } from "./studio.js";

const FIGURES = [
  ["total", "Test loss", (value) => `${value.toFixed(2)} nats`],
  ["reconstruction", "Reconstruction", (value) => `${value.toFixed(2)} nats`],
  ["kl", "KL", (value) => `${value.toFixed(2)} nats`],
  ["mse_mean", "Mean error", (value) => value.toFixed(4)],
  ["mse_median", "Median error", (value) => value.toFixed(4)],
  ["mse_p95", "95th percentile", (value) => value.toFixed(4)],
  ["active_units", "Latents in use", (value) => value],
];

export function mount(element) {
  const parts = named(element);
  let due = false;
  const showWhenSeen = () => {
    if (!due || !isShown(element)) return;
    due = false;
    show(parts).catch((error) => {
      parts.about.textContent = error.message;
    });
  };
  onModel(() => {
    due = true;
    showWhenSeen();
  });
  new IntersectionObserver(showWhenSeen).observe(element);
}

async function show(parts) {
  const [figure, card] = [await ask(modelAddress("errors")), await ask(modelAddress("card"))];
  const height = Math.max(300, Math.min(460, window.innerHeight * 0.55));
  const layout = { ...figure.layout, height, margin: { l: 64, r: 16, t: 48, b: 52 } };
  await draw(parts.plot, figure.data, layout);
  const sample = card.is_sample ? " This is a sample of the real test set." : "";
  parts.about.textContent =
    `How far each of ${card.summary.images.toLocaleString("en")} test images is from its reconstruction: ` +
    `mean squared error over the 784 pixels, latents sampled as in the reference. Data: ${card.summary.source}.${sample}`;
  parts.numbers.replaceChildren(
    ...FIGURES.map(([key, label, text]) => {
      const pair = document.createElement("div");
      pair.innerHTML = "<dt></dt><dd></dd>";
      pair.firstChild.textContent = label;
      pair.lastChild.textContent = text(card.summary[key]);
      return pair;
    }),
  );
}
