// A watchful eye on a training: which latents tell something, and whether the error beats the baselines.

import { LEAST_NATS } from "./latent.js";
import { draw } from "./plots.js";
import { haveChildren, nameBar } from "./studio.js";

const MOST_TICKS = 8; // of so few epochs Plotly would write halves, as whole numbers
const errors = { run: null, x: [], y: [] };

/** One bar for each latent, as high as its KL, the most used first. */
export function showLatents(parts, news) {
  const kl = news.kl_per_dimension;
  if (news.fresh && !kl) {
    parts.latents.replaceChildren();
    parts.use.textContent = "KL of each latent";
  }
  if (!kl) return;
  const highest = Math.max(1, ...kl);
  const order = kl.map((_, index) => index).sort((a, b) => kl[b] - kl[a]);
  haveChildren(parts.latents, kl.length);
  order.forEach((latent, at) => {
    const bar = parts.latents.children[at];
    bar.style.height = `${Math.max(2, (100 * kl[latent]) / highest)}%`;
    bar.classList.toggle("unused", kl[latent] < LEAST_NATS);
    nameBar(bar, latent, kl[latent], kl.length);
  });
  const telling = kl.filter((value) => value >= LEAST_NATS).length;
  parts.use.textContent = `Latents above ${LEAST_NATS} nats: ${telling} of ${kl.length}`;
}

/** The test error after each epoch, with what the mean image and principal components reach. */
export async function showErrors(plot, news) {
  if (news.fresh) Object.assign(errors, { run: news.run, x: [], y: [], drawn: "" });
  for (const [iteration, , mse] of news.tests) {
    errors.x.push(Math.round(iteration / (news.iterations / news.epochs)));
    errors.y.push(mse);
  }
  const state = JSON.stringify([errors.run, errors.x.length, news.baselines, news.state, news.measuring]);
  if (state === errors.drawn) return;
  errors.drawn = state;
  await draw(plot, traces(news), {
    height: 210,
    margin: { l: 52, r: 12, t: 8, b: 40 },
    showlegend: true,
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 11 } },
    xaxis: { title: { text: "Epoch" }, showgrid: errors.x.length > 0, range: [0, news.epochs + 0.5], tickformat: "d", dtick: news.epochs <= MOST_TICKS ? 1 : undefined },
    yaxis: { rangemode: "tozero", visible: errors.x.length > 0 },
    annotations: errors.x.length ? [] : [{ text: whyEmpty(news), xref: "paper", yref: "paper", x: 0.5, y: 0.5, showarrow: false }],
  }, { displayModeBar: false });
}

function whyEmpty({ state, measuring, test_total: total }) {
  if (state === "running") return "The first point comes after the first epoch.";
  const then = measuring ? "<br>Its test loss is being measured." : total === null ? "" : "<br>The test loss above is of the weights it had then.";
  return `It ended within its first epoch.${then}`;
}

function traces(news) {
  const { mean_image: meanImage, pca } = news.baselines;
  const level = (name, value, color, dash) => ({
    name, x: [0, news.epochs], y: [value, value], mode: "lines", line: { color, width: 1.5, dash },
  });
  const lines = meanImage ? [level("Mean image", meanImage, "var(--mark)", "dot"), level("PCA", pca, "var(--second)", "dash")] : [];
  const model = { name: "Model", x: errors.x, y: errors.y, mode: "lines+markers", line: { color: "var(--accent)", width: 1.6 }, marker: { size: 5 } };
  return [model, ...lines];
}
