// The latent space as a map: where the test images lie, where the current vector is, what is decoded at
// the place under the pointer. What moves lies above the dots, so that they need no redrawing while a slider or the
// pointer moves.

import { colourOf, onTheme } from "./colours.js";
import { drawDots } from "./dots.js";
import { onVector, setVector, vector } from "./latent.js";
import { Again, EMPTY, Latest, afterwards, ask, isSameModel, isShortcut, isShown, isTouched, model, modelAddress, onModel, partsOf, whenShown, within, written } from "./studio.js";
import { className, hasLongNames, imagesOf } from "./words.js";

const STEP = 0.1;
const ZOOM = 1.6;
const WHEEL = 1.01; // for each pixel that a wheel turns: two fingers on a trackpad keep hold of what is under them
const WHEEL_STEP = 50; // and no more of them at a time, as many as one click of a wheel
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

let parts = null;
let placing = ""; // what is said until the map is there
let shownLabels = ""; // for which there are buttons
let map = null; // what the server says of the chosen model: places, labels, centre, axes, shares
let drawn = null; // the card of the model whose map that is, or is to be
let place = [0, 0]; // of the current vector
let marker = [0, 0]; // where it is drawn: at the edge if the place lies beyond
let origin = null;
let range = null; // {x: [left, right], y: [bottom, top]} as wanted
let view = null; // what of the plane is shown: the range and what else there is room for
let sides = [0, 0]; // of what was drawn last, in pixels
let wantedBehind = EMPTY; // the address of the picture behind the dots
const hidden = new Set();

export function mount(element) {
  parts = partsOf(element);
  placing = parts.about.textContent;
  const show = whenShown(element, () => load(again));
  const again = new Again(show);
  onModel((card) => {
    // Trained on, the map of a model changes a little: what the visitor looks at stays.
    if (!isSameModel(drawn, card) || card.latent_dim !== drawn.latent_dim) clear();
    drawn = card;
    show();
  });
  onVector((z, from) => {
    origin = from;
    if (map) mark(z);
  });
  listenToPointer(parts.surface);
  listenToKeys(parts.surface);
  const drawAgain = () => map && isShown(element) && drawRange(range);
  const isOther = () => parts.dots.clientWidth !== sides[0];
  new ResizeObserver(afterwards(() => isOther() && drawAgain(), RESTED_MILLISECONDS)).observe(parts.dots);
  onTheme(() => {
    sides = [0, 0]; // drawn anew, now or when it is seen again
    drawAgain();
  });
  parts.plane.addEventListener("load", showBehind);
  parts.closer.addEventListener("click", () => zoom(1 / ZOOM));
  parts.farther.addEventListener("click", () => zoom(ZOOM));
  parts.all.addEventListener("click", () => map && drawRange(whole()));
  parts.behind.addEventListener("change", () => drawRange(range));
}

/** Nothing of another model's map is left, should this one's not come. */
function clear() {
  map = null;
  for (const part of [parts.overlay, parts.classes]) part.replaceChildren();
  parts.dots.width = 0; // which empties the canvas
  wantedBehind = EMPTY;
  parts.plane.hidden = true;
  say(placing);
}

async function load(again) {
  const card = model();
  let loaded = null;
  try {
    loaded = await ask(modelAddress("map.json"));
  } catch (error) {
    if (model() !== card) return;
    say(error.message);
    again.after(error);
    return;
  }
  if (model() !== card) return; // another model has been chosen meanwhile
  again.stop();
  const isFirst = map === null;
  map = loaded;
  if (isFirst) {
    hidden.clear();
    parts.behind.checked = loaded.axes[0].length <= 2;
  }
  const labels = [...new Set(map.labels)].sort((a, b) => a - b);
  if (labels.join() !== shownLabels || isFirst) parts.classes.replaceChildren(...labels.map(classButton));
  shownLabels = labels.join();
  const percent = (share) => `${Math.round(share * 100)}%`;
  const [first, second] = map.shares;
  say(
    map.axes[0].length <= 2
      ? `The latent plane itself: each dot is a test image. ${HOW}`
      : `Each dot is a test image, seen along the two directions in which they differ most (PCA: ${percent(first)} and ${percent(second)} of the variance). ${HOW}`,
  );
  drawRange(isFirst ? whole() : range);
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

/** Shows so many times as much of the plane, around the current vector or with a place kept where it is. */
function zoom(factor, kept = null) {
  if (!map) return;
  const around = (axis, [low, high]) => {
    const half = within(((high - low) / 2) * factor, NEAREST, FARTHEST);
    const share = kept ? (kept[axis] - low) / (high - low) : 0.5;
    const middle = within((kept ?? place)[axis] + (1 - 2 * share) * half, -FARTHEST, FARTHEST);
    return [middle - half, middle + half];
  };
  drawRange({ x: around(0, range.x), y: around(1, range.y) });
}

/** A part of the map that is zoomed in moves on when the marker comes to its edge. */
function keepMarkerInSight() {
  if (!map || range.x[1] - range.x[0] > 1.9 * whole().x[1]) return;
  const isAtEdge = (at, side) => at < EDGE * side || at > (1 - EDGE) * side;
  if (marker.some((at, axis) => isAtEdge(at, sides[axis]))) zoom(1);
}

/** Draws a range of the plane: the dots, what is behind them and what lies above them. */
function drawRange(wanted) {
  if (!map) return; // another model's is on its way
  range = wanted;
  sides = [parts.dots.clientWidth, parts.dots.clientHeight];
  if (!sides[0]) return; // it is drawn when it is seen again
  view = filling(range, sides);
  const isThin = parts.behind.checked;
  drawDots(parts.dots, map, view, { radius: isThin ? 1.5 : 2, opacity: isThin ? 0.45 : 0.65, hidden });
  lookBehind();
  drawLabels();
  mark(vector());
}

/** The range, with more of the plane on two sides where it must be to fill what is shown and keep its proportions. */
function filling({ x, y }, [width, height]) {
  const unit = Math.max((x[1] - x[0]) / width, (y[1] - y[0]) / height); // of a pixel
  const around = ([low, high], side) => [low + high - unit * side, low + high + unit * side].map((twice) => twice / 2);
  return { x: around(x, width), y: around(y, height) };
}

/** The digits of the plane, if they are wanted: asked for when the zooming rests, shown when they have come. */
function lookBehind() {
  wantedBehind = parts.behind.checked ? manifold(view) : EMPTY;
  showBehind();
  askBehind();
}

const askBehind = afterwards(() => {
  if (parts.plane.src !== wantedBehind) parts.plane.src = wantedBehind;
}, RESTED_MILLISECONDS);

function showBehind() {
  const { plane } = parts;
  plane.hidden = plane.src !== wantedBehind || !plane.complete;
}

function manifold({ x, y }) {
  const rows = Math.max(1, Math.min(40, Math.round((TILES * sides[1]) / sides[0])));
  return modelAddress("manifold.png", { left: x[0], right: x[1], bottom: y[0], top: y[1], columns: TILES, rows });
}

const toScreen = ([x, y]) => [
  ((x - view.x[0]) / (view.x[1] - view.x[0])) * sides[0],
  ((view.y[1] - y) / (view.y[1] - view.y[0])) * sides[1],
];

function fromScreen(event) {
  const box = parts.surface.getBoundingClientRect();
  return [
    view.x[0] + ((event.clientX - box.left) / box.width) * (view.x[1] - view.x[0]),
    view.y[1] - ((event.clientY - box.top) / box.height) * (view.y[1] - view.y[0]),
  ];
}

const onPlane = (z) => map.axes.map((axis) => axis.reduce((sum, part, index) => sum + part * (z[index] - map.centre[index]), 0));

const toVector = ([x, y]) => map.centre.map((value, index) => value + x * map.axes[0][index] + y * map.axes[1][index]);

/** The current vector, and one deviation around the mean of the picture it came from. */
function mark(z) {
  if (z.length !== map.centre.length || !view) return;
  place = onPlane(z);
  const marks = [];
  if (origin?.mean?.length === z.length) marks.push(spread(origin));
  const exact = toScreen(place);
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
  button.setAttribute("aria-pressed", !hidden.has(label));
  button.addEventListener("click", () => {
    if (!hidden.delete(label)) hidden.add(label);
    button.setAttribute("aria-pressed", !hidden.has(label));
    drawRange(range);
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
    if (!map) return; // another model has been chosen meanwhile
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
    keepMarkerInSight();
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
      if (isDown) keepMarkerInSight();
      isDown = false;
    });
  }
  surface.addEventListener("pointerleave", () => {
    parts.preview.hidden = true;
  });
  const wheel = (event) => {
    if (!event.ctrlKey || !map) return; // the wheel alone scrolls the page; two fingers on a trackpad come as this
    event.preventDefault();
    const pixels = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? event.deltaY : event.deltaY * WHEEL_STEP;
    zoom(WHEEL ** within(pixels, -WHEEL_STEP, WHEEL_STEP), fromScreen(event));
  };
  surface.addEventListener("wheel", wheel, { passive: false });
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
  const factors = { "+": 1 / ZOOM, "-": ZOOM };
  surface.addEventListener("keydown", (event) => {
    if (isShortcut(event)) return;
    if (event.key in factors) zoom(factors[event.key]);
    const step = steps[event.key];
    if (!step || !map) return;
    event.preventDefault();
    setVector(vector().map((value, index) => value + step[0] * map.axes[0][index] + step[1] * map.axes[1][index]));
    keepMarkerInSight();
  });
}
