// The fixed digits and samples as the training goes, and their replay with the slider above them.

import { worth } from "./colours.js";
import { address } from "./studio.js";

const KINDS = ["reconstructions", "samples"];
let run = null;
let created = ""; // tells the run from another of its name
let iterationsPerEpoch = 0;
let moments = [];

/** Follows the newest pictures unless the visitor looks at earlier ones. */
export function showPreviews(parts, news) {
  const isNewRun = news.run !== run || news.created !== created;
  const atEnd = isNewRun || Number(parts.moment.value) >= moments.length - 1;
  if (!isNewRun && news.previews.length === moments.length) return;
  ({ run, created, previews: moments } = news);
  iterationsPerEpoch = news.iterations / news.epochs;
  parts.timeline.hidden = moments.length < 2;
  parts.moment.max = Math.max(0, moments.length - 1);
  if (atEnd) show(parts, moments.length - 1);
}

export function watchTimeline(parts) {
  parts.moment.addEventListener("input", () => {
    show(parts, Number(parts.moment.value));
    mark(parts.plot, moments[Number(parts.moment.value)]);
  });
  parts.moment.addEventListener("change", () => {
    if (Number(parts.moment.value) >= moments.length - 1) mark(parts.plot, null);
  });
}

function show(parts, index) {
  parts.moment.value = index;
  const iteration = moments[index];
  for (const kind of KINDS) parts[kind].hidden = iteration === undefined;
  if (iteration === undefined) return;
  for (const kind of KINDS) {
    parts[kind].src = address(`runs/${encodeURIComponent(run)}/previews/${iteration}-${kind}.png`, { v: created });
  }
  const epochs = iteration / iterationsPerEpoch;
  const words = Number.isInteger(epochs) ? `after epoch ${epochs}` : `in epoch ${Math.floor(epochs) + 1}`;
  parts.when.textContent = `iteration ${iteration.toLocaleString("en")}, ${words}`;
}

/** A line on the curve where the pictures were made. */
function mark(plot, iteration) {
  if (!plot.data) return;
  const line = { type: "line", x0: iteration, x1: iteration, yref: "paper", y0: 0, y1: 1 };
  const shapes = iteration === null ? [] : [{ ...line, line: { color: worth("--test"), width: 1.5, dash: "dot" } }];
  window.Plotly.relayout(plot, { shapes });
}
