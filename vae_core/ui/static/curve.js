// The curve of the watched run's loss, with other runs' laid over it.

import { colourOf } from "./colours.js";
import { draw, plotly } from "./plots.js";
import { address, ask, isTouched } from "./studio.js";

const MOST_POINTS = 4000;
const CURVES = [
  { name: "Loss", color: "var(--accent)", width: 1.6 },
  { name: "Reconstruction", color: "var(--second)", width: 1.2 },
  { name: "KL", color: "var(--mark)", width: 1.2 },
];
/** Of others laid over them: the classes' colours, those first that are least like these and each other. */
const COLOURS = [3, 8, 0, 6, 4, 7, 9, 5, 2, 1];
/** Thin lines of dark colours look alike: these come in turn, too. */
const DASHES = ["dot", "dash", "dashdot", "longdash"];
const OPTIONS = isTouched ? { displayModeBar: false } : {};

let totals = []; // the watched run's losses
let span = null; // of the axis, as it was last set here
const overlaid = new Map(); // points, reach and colour of each
let laid = []; // the names of those that are wanted
let shownOverlaid = ""; // those that are drawn, and how far
let tellOverlaid = () => {};

/** Calls the listener when other runs are to be laid over the curve, or none any more. */
export function onOverlaid(listener) {
  tellOverlaid = listener;
}

/** Lays the loss of these runs over the watched one's; those that have grown are fetched anew. */
export async function overlay(names, grown = []) {
  const isNews = names.join() !== laid.join() || names.some((name) => grown.includes(name) || !overlaid.has(name));
  if (!isNews) return;
  laid = names;
  for (const name of [...overlaid.keys()]) if (!names.includes(name)) overlaid.delete(name);
  for (const name of names) {
    if (overlaid.has(name) && !grown.includes(name)) continue;
    const { points } = await ask(address(`runs/${encodeURIComponent(name)}/curve`));
    if (!laid.includes(name)) continue;
    const colour = overlaid.get(name)?.colour ?? freeColour();
    overlaid.set(name, { points, reach: reachOf(points.map((point) => point[1])), colour });
  }
  tellOverlaid();
}

/** A curve keeps its colour while others come and go; of more than there are colours some have the same. */
function freeColour() {
  const taken = [...overlaid.values()].map(({ colour }) => colour);
  return COLOURS.find((colour) => !taken.includes(colour)) ?? COLOURS[taken.length % COLOURS.length];
}

/** Draws what is new of the watched run, and the others over it. */
export async function showCurve(plot, news) {
  await showWatched(plot, news);
  await showOverlays(plot);
}

/** Whether it holds more points than the screen can show. */
export const isFull = () => totals.length > MOST_POINTS;

async function showWatched(plot, news) {
  const columns = [0, 1, 2, 3].map((index) => news.points.map((point) => point[index]));
  const tests = [news.tests.map((row) => row[0]), news.tests.map((row) => row[1])];
  if (news.fresh) totals = [];
  totals.push(...columns[1]);
  if (news.fresh || !plot.data) {
    const curves = CURVES.map(({ name, color, width }, index) => ({
      name,
      x: columns[0],
      y: columns[index + 1],
      mode: "lines",
      line: { color, width },
      hovertemplate: hoverOf(name),
    }));
    const test = { name: "Test loss", x: tests[0], y: tests[1], hovertemplate: hoverOf("Test loss"), mode: "lines+markers", line: { color: "var(--test)", width: 1.5 }, marker: { size: 6 } };
    span = usefulSpan();
    await draw(plot, [...curves, test], layoutFor(news), OPTIONS);
    shownOverlaid = "";
    return;
  }
  if (!columns[0].length) return;
  const Plotly = await plotly();
  const added = { x: [columns[0], columns[0], columns[0], tests[0]], y: [...columns.slice(1), tests[1]] };
  await Plotly.extendTraces(plot, added, [0, 1, 2, 3]);
  await followSpan(Plotly, plot);
}

const hoverOf = (name) => `%{y:.2f}<extra>${name}</extra>`;

function layoutFor(news) {
  return {
    height: Math.max(280, Math.min(420, window.innerHeight * 0.45)),
    margin: { l: 64, r: 12, t: 8, b: 44 },
    uirevision: news.run,
    dragmode: isTouched ? false : "zoom",
    hovermode: "x unified",
    modebar: { orientation: "v" }, // beside the curve: above it is the legend
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 11 } },
    xaxis: { title: { text: "Iteration" }, rangemode: "tozero" },
    yaxis: { title: { text: "Loss (nats per image)" }, range: span },
  };
}

/**
 * What the axis spans: from 0 to above nearly all points of each run, as the first few of a run are ten times the
 * rest; a calibrated likelihood is a density, whose loss goes below 0.
 */
function usefulSpan() {
  const reaches = [reachOf(totals), ...[...overlaid.values()].map(({ reach }) => reach)].flat();
  if (!reaches.length) return [0, 60];
  const [low, high] = [Math.min(0, ...reaches), Math.max(0, ...reaches)];
  return [1.1 * low, high + 0.15 * (high - low)];
}

/** From the lowest loss to above nearly all of them; nothing where there is none. */
function reachOf(losses) {
  const sorted = [...losses].sort((a, b) => a - b);
  return sorted.length ? [sorted[0], sorted[Math.floor(0.97 * (sorted.length - 1))]] : [];
}

async function followSpan(Plotly, plot) {
  const differs = (one, other, by) => one.some((end, index) => Math.abs(end - other[index]) > by);
  const useful = usefulSpan();
  const isOurs = !differs(plot.layout.yaxis.range, span, 1e-6);
  if (!isOurs || !differs(useful, span, 0.08 * (span[1] - span[0]))) return;
  span = useful;
  await Plotly.relayout(plot, { "yaxis.range": span });
}

function overlays() {
  return [...overlaid].map(([name, { points, colour }]) => ({
    name,
    x: points.map((point) => point[0]),
    y: points.map((point) => point[1]),
    mode: "lines",
    hovertemplate: hoverOf(name),
    line: { color: colourOf(colour), width: 1.4, dash: DASHES[COLOURS.indexOf(colour) % DASHES.length] },
  }));
}

async function showOverlays(plot) {
  const wanted = [...overlaid].map(([name, { points }]) => `${name} ${points.at(-1)?.[0]}`).join();
  if (!plot.data || shownOverlaid === wanted) return;
  shownOverlaid = wanted;
  await draw(plot, [...plot.data.slice(0, CURVES.length + 1), ...overlays()], plot.layout, OPTIONS);
  await followSpan(await plotly(), plot);
}
