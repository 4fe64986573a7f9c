// The histogram of the test errors: a click on a bar, or a drag over several, asks for the images in it.

import { colourOf, worth } from "./colours.js";
import { draw } from "./plots.js";
import { Again, Latest, ask, isTouched, model, partsOf, whenShown } from "./studio.js";
import { attach, besideAddressed, changeView, images, isOnHere, measureHere, onSelection, onView, select, showProgress, testedAddress } from "./tested.js";

let parts = null;
let facts = null;
let imagesHere = null; // what is known of those that the app has
let shade = []; // the range that is shown in the gallery, as Plotly's shapes

export function mount(element) {
  parts = partsOf(element);
  const untilOtherFacts = (about) => () => about === facts;
  const show = new Latest(() => retry.see(histogram(), complain, untilOtherFacts(facts)));
  const retry = new Again(whenShown(element, () => show.submit()));
  const tellOfImages = () => retryImages.see(tellImages(), sayOfImages, untilOtherFacts(facts));
  const retryImages = new Again(whenShown(element, tellOfImages));
  attach(element, (share) => showProgress(parts, share), (words) => {
    complain(new Error(words));
    tellWay();
  });
  onView((news) => {
    facts = news;
    parts[news.view.latents].checked = true; // also where an address has said so
    showFailure(false);
    tellAbout();
    tellBeside();
    tellOfImages();
    show.submit();
  });
  onSelection((selection) => mark(selection));
  for (const choice of [parts.sampled, parts.mean]) {
    choice.addEventListener("change", () => changeView({ latents: choice.value }));
  }
  for (const choice of [parts.log, parts.split]) choice.addEventListener("change", () => show.submit());
  parts.hereButton.addEventListener("click", () => {
    changeView({ on: isOnHere() ? "evaluated" : "here" });
  });
}

/** What went wrong stands where one looks; the figure of another model does not stay below it. */
function complain(error) {
  parts.about.textContent = error.message;
  parts.legend.replaceChildren();
  showFailure(true);
}

function showFailure(hasFailed) {
  parts.about.className = hasFailed ? "alert" : "muted";
  parts.plot.classList.toggle("failed", hasFailed);
}

async function histogram() {
  if (facts === null) return; // they are on their way
  const about = facts;
  const wanted = { log: parts.log.checked, split: parts.split.checked };
  const figure = await ask(testedAddress("", { ...wanted, ...besideAddressed() }));
  if (about !== facts || about.run !== model().run) return; // another view is asked for already
  for (const trace of figure.data) {
    const isClass = Number.isInteger(trace.meta?.label);
    if (isClass) trace[styleOf(trace)] = { ...trace[styleOf(trace)], color: colourOf(trace.meta.label) };
    if (trace.type === "bar") trace.unselected = { marker: { opacity: 1 } }; // the shade marks the range
  }
  const height = Math.max(300, Math.min(460, window.innerHeight * 0.55));
  const isNarrow = parts.plot.clientWidth < 500;
  const layout = {
    ...figure.layout, height, shapes: shade, showlegend: false, selectdirection: "h", selections: [],
    dragmode: isTouched ? false : "select", // a finger on the plot scrolls the page, and taps bars
    hovermode: wanted.split ? "closest" : "x", // whole bars answer over all their height: some are a pixel high
    margin: { l: isNarrow ? 48 : 64, r: 12, t: 48, b: 52 },
  };
  await draw(parts.plot, figure.data, layout, { displayModeBar: false });
  parts.legend.replaceChildren(...figure.data.map(legendEntry));
  listen();
  if (!parts.plot.classList.contains("failed")) return;
  showFailure(false); // that of the last try is over
  tellAbout();
}

/** Where a trace keeps its colour. */
const styleOf = ({ type }) => (type === "bar" ? "marker" : "line");

/** In the page instead of the plot: on a phone Plotly's own legend leaves no room for the bars. */
function legendEntry(trace) {
  const { name, type, line } = trace;
  const entry = document.createElement("li");
  const swatch = document.createElement("i");
  swatch.style.setProperty("--colour", trace[styleOf(trace)].color);
  swatch.className = type === "bar" ? "" : (line.dash ?? "solid");
  entry.append(swatch, name);
  return entry;
}

function listen() {
  parts.plot.removeAllListeners("plotly_click");
  parts.plot.removeAllListeners("plotly_selected");
  parts.plot.on("plotly_click", ({ points }) => {
    const bar = points.find((point) => point.customdata);
    if (!bar) return;
    const [low, high] = bar.customdata;
    select({ low, high, label: bar.data.meta.label });
  });
  parts.plot.on("plotly_selected", (event) => {
    if (!event?.range) return;
    const [low, high] = event.range.x.map((value) => Number(Math.max(0, Math.min(1, value)).toFixed(6)));
    select({ low, high });
  });
}

/** Shades the range that the gallery shows; Plotly's own frame, which would only mark pixels, goes. */
function mark(selection) {
  const hasRange = selection?.low !== undefined && selection?.high !== undefined;
  const end = Math.min(selection?.high, facts?.high ?? 1); // beyond the errors there are it would stretch the axis
  shade = hasRange && selection.low < end
    ? [{ type: "rect", x0: selection.low, x1: end, y0: 0, y1: 1, yref: "paper", fillcolor: worth("--mark"), opacity: 0.2, line: { width: 0 }, layer: "below" }]
    : [];
  if (parts.plot.layout) window.Plotly.relayout(parts.plot, { shapes: shade, selections: [] });
}

function tellAbout() {
  const { summary, view, name } = facts;
  const from = view.latents === "sampled" ? "decoded from sampled latents, as in the reference" : "decoded from the posterior's mean";
  parts.about.textContent =
    `How far each of ${summary.images.toLocaleString("en")} test images is from its reconstruction, ${from}: ` +
    `mean squared error over the 784 pixels. Data: ${summary.source}.`;
  parts.splitWords.textContent = facts.noun === "digit" ? "by digit" : "by class";
  parts.plot.setAttribute(
    "aria-label",
    `Histogram of the error of ${summary.images.toLocaleString("en")} test images of ${name}: mean ${summary.mse_mean.toFixed(4)}, ` +
      `median ${summary.mse_median.toFixed(4)}, 95th percentile ${summary.mse_p95.toFixed(4)}. ` +
      "The fields below it choose a range of errors.",
  );
}

/** Whether the images can be shown, and the way to those that can. */
async function tellImages() {
  const about = facts;
  const { missing, here } = await images();
  if (about !== facts) return;
  parts.missing.hidden = !missing && !here.is_sample;
  parts.missing.textContent =
    missing ?? `These are the ${here.count.toLocaleString("en")} test images of a sample of MNIST, not the whole test set.`;
  parts.here.hidden = !here || (!missing && !isOnHere());
  imagesHere = here;
  tellWay();
}

function sayOfImages({ message }) {
  parts.missing.hidden = false;
  parts.missing.textContent = message;
}

/** Where the button leads: to the other images than those that are asked for. */
function tellWay() {
  if (imagesHere) parts.hereButton.textContent = isOnHere() ? "Back to the images it was evaluated on" : measureHere(imagesHere);
}

function tellBeside() {
  const { beside, summary } = facts;
  parts.beside.hidden = !beside;
  if (!beside) return;
  const { run, problem, is_same_set: isSameSet, source, images: count, mean, better } = beside;
  const number = (value) => value.toLocaleString("en");
  if (problem) parts.beside.textContent = `Nothing can be compared: ${problem}.`;
  else if (!isSameSet) parts.beside.textContent = `${run} was evaluated on another set: ${number(count)} images, ${source}. Its curve is drawn to the same number of images; the two are not to be compared image by image.`;
  else parts.beside.textContent = `${run} on the same images: mean error ${mean.toFixed(4)} beside ${summary.mse_mean.toFixed(4)}. Its error is the smaller one on ${number(better)} of ${number(count)} images.`;
}
