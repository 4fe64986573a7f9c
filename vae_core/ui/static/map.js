// The latent space as a map: where the test images lie, where the current vector is, what is decoded at
// the place under the pointer. The points are Plotly's; what moves lies above them, so that they need no
// redrawing while a slider or the pointer moves.

import { colourOf } from "./colours.js";
import { onVector, setVector, vector } from "./latent.js";
import { draw, isTouched } from "./plots.js";
import { Latest, afterwards, ask, isShown, model, modelAddress, named, onModel, whenShown, within, written } from "./studio.js";
import { className, hasLongNames, imagesOf } from "./words.js";

const STEP = 0.1;
const ZOOM = 1.6;
const HOW = isTouched ? "Tap a place to go there, or drag the marker." : "Move over it to decode a place, press to go there.";
const [NEAREST, FARTHEST] = [0.02, 20]; // what half of the plane's width may be, well within what is decoded
const TILES = 18;
const EDGE = 0.12; // of the map's width or height
const RESTED_MILLISECONDS = 150;
const MARKER_RADIUS = 8;
const MISSED_BY = 28; // how far beside the marker a finger still takes hold of it
const LABEL_APART = 24;
const LABEL_PUSHES = 30;
const SVG = "http://www.w3.org/2000/svg";
/** Without WebGL Plotly would draw nothing; SVG draws the same, only slower. */
const POINTS = hasWebGL() ? "scattergl" : "scatter";

let parts = null;
let map = null; // what the server says of the chosen model: places, labels, centre, axes, shares
let place = [0, 0]; // of the current vector
let marker = [0, 0]; // where it is drawn: at the edge if the place lies beyond
let origin = null;
let range = null; // {x: [left, right], y: [bottom, top]} as wanted; Plotly may widen it to keep the proportions
let drawnWidth = 0;
const hidden = new Set();

export function mount(element) {
  parts = named(element);
  const show = whenShown(element, () => load().catch((error) => say(error.message)));
  onModel(() => {
    map = null;
    show();
  });
  onVector((z, from) => {
    origin = from;
    if (map) mark(z);
  });
  listenToPointer(parts.surface);
  listenToKeys(parts.surface);
  const drawAgain = () => map && isShown(element) && parts.plot.clientWidth !== drawnWidth && look(range);
  new ResizeObserver(afterwards(drawAgain, RESTED_MILLISECONDS)).observe(parts.plot);
  parts.closer.addEventListener("click", () => zoom(1 / ZOOM));
  parts.farther.addEventListener("click", () => zoom(ZOOM));
  parts.all.addEventListener("click", () => map && look(whole()));
  parts.behind.addEventListener("change", () => look(range));
}

async function load() {
  const card = model();
  const loaded = await ask(modelAddress("map.json"));
  if (model() !== card) return; // another model has been chosen meanwhile
  map = loaded;
  hidden.clear();
  parts.behind.checked = loaded.axes[0].length <= 2;
  parts.classes.replaceChildren(...[...new Set(map.labels)].sort((a, b) => a - b).map(classButton));
  const percent = (share) => `${Math.round(share * 100)}%`;
  const [first, second] = map.shares;
  say(
    map.axes[0].length <= 2
      ? `The latent plane itself: each dot is a test image. ${HOW}`
      : `Each dot is a test image, on the two axes of most variance (PCA): ${percent(first)} and ${percent(second)} of it. ${HOW}`,
  );
  await look(whole());
}

function say(text) {
  parts.about.textContent = text;
}

function whole() {
  const reach = (values) => {
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
    return Math.min(largest * 1.05, 6);
  };
  const [x, y] = [reach(map.x), reach(map.y)];
  return { x: [-x, x], y: [-y, y] };
}

function zoom(factor) {
  if (!map) return;
  const around = (at, [low, high]) => {
    const half = within(((high - low) / 2) * factor, NEAREST, FARTHEST);
    const middle = within(at, -FARTHEST, FARTHEST);
    return [middle - half, middle + half];
  };
  look({ x: around(place[0], range.x), y: around(place[1], range.y) });
}

/** A part of the map that is zoomed in moves on when the marker comes to its edge. */
function follow() {
  if (!map || range.x[1] - range.x[0] > 1.9 * whole().x[1]) return;
  const isAtEdge = (at, side) => at < EDGE * side || at > (1 - EDGE) * side;
  const { clientWidth, clientHeight } = parts.plot;
  if (isAtEdge(marker[0], clientWidth) || isAtEdge(marker[1], clientHeight)) zoom(1);
}

/** Draws the points in a range of the plane, and the rest above them. */
async function look(wanted) {
  if (!map) return; // another model's is on its way
  range = wanted;
  const size = parts.plot.parentElement.clientWidth;
  drawnWidth = size;
  const height = Math.round(Math.min(size, 460));
  const axis = { showgrid: false, showticklabels: false, ticks: "", zeroline: true };
  await draw(parts.plot, traces(), {
    height,
    dragmode: false,
    hovermode: false,
    showlegend: false,
    margin: { l: 0, r: 0, t: 0, b: 0 },
    xaxis: { ...axis, range: [...range.x], scaleanchor: "y" },
    yaxis: { ...axis, range: [...range.y] },
    images: [],
  }, { staticPlot: true });
  if (!map) return;
  const shown = shownRange();
  if (parts.behind.checked) {
    const images = [
      {
        source: manifold(shown), xref: "x", yref: "y", x: shown.x[0], y: shown.y[1], layer: "below",
        sizex: shown.x[1] - shown.x[0], sizey: shown.y[1] - shown.y[0], sizing: "stretch", opacity: 0.55,
      },
    ];
    await window.Plotly.relayout(parts.plot, { images });
    if (!map) return;
  }
  drawLabels();
  mark(vector());
}

function manifold({ x, y }) {
  const [width, height] = [parts.plot.clientWidth, parts.plot.clientHeight];
  const columns = TILES;
  const rows = Math.max(1, Math.min(40, Math.round((TILES * height) / width)));
  return modelAddress("manifold.png", { left: x[0], right: x[1], bottom: y[0], top: y[1], columns, rows });
}

function traces() {
  const groups = new Map();
  map.labels.forEach((label, index) => {
    if (!groups.has(label)) groups.set(label, { x: [], y: [] });
    groups.get(label).x.push(map.x[index]);
    groups.get(label).y.push(map.y[index]);
  });
  const isThin = parts.behind.checked;
  return [...groups].map(([label, { x, y }]) => ({
    x, y, name: className(label), mode: "markers", visible: !hidden.has(label), hoverinfo: "skip",
    type: POINTS,
    marker: { size: isThin ? 3 : 4, color: colourOf(label), opacity: isThin ? 0.45 : 0.65 },
  }));
}

function hasWebGL() {
  const canvas = document.createElement("canvas");
  return Boolean(canvas.getContext("webgl2") ?? canvas.getContext("webgl"));
}

function shownRange() {
  const { xaxis, yaxis } = parts.plot._fullLayout;
  return { x: [...xaxis.range], y: [...yaxis.range] };
}

const toScreen = ([x, y]) => {
  const shown = shownRange();
  const [width, height] = [parts.plot.clientWidth, parts.plot.clientHeight];
  return [
    ((x - shown.x[0]) / (shown.x[1] - shown.x[0])) * width,
    ((shown.y[1] - y) / (shown.y[1] - shown.y[0])) * height,
  ];
};

function fromScreen(event) {
  const shown = shownRange();
  const box = parts.surface.getBoundingClientRect();
  return [
    shown.x[0] + ((event.clientX - box.left) / box.width) * (shown.x[1] - shown.x[0]),
    shown.y[1] - ((event.clientY - box.top) / box.height) * (shown.y[1] - shown.y[0]),
  ];
}

const onPlane = (z) => map.axes.map((axis) => axis.reduce((sum, part, index) => sum + part * (z[index] - map.centre[index]), 0));

const toVector = ([x, y]) => map.centre.map((value, index) => value + x * map.axes[0][index] + y * map.axes[1][index]);

/** The current vector, and one deviation around the mean of the picture it came from. */
function mark(z) {
  if (z.length !== map.centre.length || !parts.plot._fullLayout) return;
  place = onPlane(z);
  const marks = [];
  if (origin?.mean?.length === z.length) marks.push(spread(origin));
  const exact = toScreen(place);
  const sides = [parts.plot.clientWidth, parts.plot.clientHeight];
  marker = exact.map((at, axis) => within(at, MARKER_RADIUS, sides[axis] - MARKER_RADIUS));
  const isBeyond = exact.some((at, axis) => Math.abs(at - marker[axis]) > MARKER_RADIUS);
  const [x, y] = marker;
  marks.push(shape("circle", { cx: x, cy: y, r: MARKER_RADIUS, class: isBeyond ? "map-here beyond" : "map-here" }));
  for (const old of parts.overlay.querySelectorAll(".map-here, .map-spread")) old.remove();
  parts.overlay.append(...marks);
}

/** The ellipse of one deviation of N(mean, diag(deviation^2)), projected onto the plane. */
function spread({ mean, deviation }) {
  const [a, b] = map.axes;
  const sum = (first, second) => first.reduce((total, part, index) => total + part * second[index] * deviation[index] ** 2, 0);
  const [xx, xy, yy] = [sum(a, a), sum(a, b), sum(b, b)];
  const middle = (xx + yy) / 2;
  const half = Math.hypot((xx - yy) / 2, xy);
  const angle = Math.atan2(xy, xx - middle + half || 1e-12);
  const [x, y] = toScreen(onPlane(mean));
  const scale = toScreen([1, 0])[0] - toScreen([0, 0])[0];
  return shape("ellipse", {
    cx: x, cy: y, rx: Math.sqrt(middle + half) * scale, ry: Math.sqrt(Math.max(middle - half, 0)) * scale,
    transform: `rotate(${(-angle * 180) / Math.PI} ${x} ${y})`, class: "map-spread",
  });
}

/** Each class's name at its middle: colours alone do not tell ten classes apart. */
function drawLabels() {
  const sums = new Map();
  map.labels.forEach((label, index) => {
    const sum = sums.get(label) ?? [0, 0, 0];
    sums.set(label, [sum[0] + map.x[index], sum[1] + map.y[index], sum[2] + 1]);
  });
  parts.overlay.replaceChildren();
  for (const part of [parts.overlay, parts.classes]) part.classList.toggle("named", hasLongNames());
  const labels = [...sums].filter(([label]) => !hidden.has(label));
  const places = apart(labels.map(([, [x, y, count]]) => toScreen([x / count, y / count])));
  labels.forEach(([label], index) => {
    const [x, y] = places[index];
    const text = shape("text", { x, y, class: "map-label" });
    text.style.setProperty("--colour", colourOf(label));
    text.textContent = className(label);
    parts.overlay.append(text);
  });
}

/** Pushes places on the screen away from each other until each can be read. */
function apart(places) {
  const moved = places.map((at) => [...at]);
  for (let push = 0; push < LABEL_PUSHES; push += 1) {
    for (const one of moved) {
      for (const other of moved) {
        const [dx, dy] = [one[0] - other[0], one[1] - other[1]];
        const distance = Math.hypot(dx, dy);
        if (one === other || distance >= LABEL_APART) continue;
        const step = (LABEL_APART - distance) / 2;
        const [ux, uy] = distance > 0 ? [dx / distance, dy / distance] : [1, 0];
        one[0] += ux * step;
        one[1] += uy * step;
        other[0] -= ux * step;
        other[1] -= uy * step;
      }
    }
  }
  return moved;
}

function shape(kind, attributes) {
  const made = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function classButton(label) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "chip";
  button.textContent = className(label);
  button.style.setProperty("--colour", colourOf(label));
  button.title = `Show or hide ${imagesOf(label)}`;
  button.setAttribute("aria-pressed", true);
  button.addEventListener("click", () => {
    if (!hidden.delete(label)) hidden.add(label);
    button.setAttribute("aria-pressed", !hidden.has(label));
    look(range);
  });
  return button;
}

/**
 * A mouse goes where it is pressed and drawn. A finger drags the marker only, or goes where it taps: elsewhere it
 * scrolls the page, of which the map fills a phone's whole width.
 */
function listenToPointer(surface) {
  let isDown = false;
  let isFinger = false;
  const preview = new Latest(async ([event, at]) => {
    const { previewPicture } = parts;
    previewPicture.src = modelAddress("decode.png", { z: written(toVector(at)) });
    await previewPicture.decode().catch(() => {});
    if (!parts.preview.hidden) put(parts.preview, event, surface);
  });
  const go = (event) => setVector(toVector(fromScreen(event)), null);
  surface.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !map) return;
    parts.preview.hidden = true;
    isFinger = event.pointerType === "touch";
    isDown = !isFinger || isAtMarker(event, surface);
    if (!isDown) return;
    surface.setPointerCapture(event.pointerId);
    if (!isFinger) go(event);
  });
  surface.addEventListener("touchstart", (event) => isDown && event.preventDefault(), { passive: false });
  surface.addEventListener("click", (event) => {
    if (!map || !isFinger) return; // a mouse has gone there when it was pressed
    go(event);
    follow();
  });
  surface.addEventListener("pointermove", (event) => {
    if (!map) return;
    if (isDown) return go(event);
    if (event.pointerType === "touch") return;
    parts.preview.hidden = false;
    put(parts.preview, event, surface);
    preview.submit([event, fromScreen(event)]);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    surface.addEventListener(end, () => {
      if (isDown) follow();
      isDown = false;
    });
  }
  surface.addEventListener("pointerleave", () => {
    parts.preview.hidden = true;
  });
}

function isAtMarker(event, surface) {
  const box = surface.getBoundingClientRect();
  return Math.hypot(event.clientX - box.left - marker[0], event.clientY - box.top - marker[1]) <= MISSED_BY;
}

/** Beside the pointer, on the side where there is room. */
function put(preview, event, surface) {
  const box = surface.getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  preview.style.left = `${x < box.width / 2 ? x + 16 : x - 16 - preview.offsetWidth}px`;
  preview.style.top = `${y < box.height / 2 ? y + 16 : y - 16 - preview.offsetHeight}px`;
}

function listenToKeys(surface) {
  const steps = { ArrowRight: [STEP, 0], ArrowLeft: [-STEP, 0], ArrowUp: [0, STEP], ArrowDown: [0, -STEP] };
  surface.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    if (!step || !map) return;
    event.preventDefault();
    setVector(vector().map((value, index) => value + step[0] * map.axes[0][index] + step[1] * map.axes[1][index]));
    follow();
  });
}
