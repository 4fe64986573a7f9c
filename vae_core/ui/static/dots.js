// The dots of the map on a canvas: ten thousand take ten to twenty milliseconds of script on a slow machine, without
// WebGL and without a library, so that the map is there with the page and follows a hand that zooms.

import { colourOf, coloured } from "./colours.js";

/**
 * Draws a dot at each place that a part of the plane has, in the order of the images, so that no class lies above the
 * others, and below them the two axes.
 *
 * The places are {x, y, labels}, an entry for each image; the view {x: [left, right], y: [bottom, top]} fills the
 * canvas; the style is {radius, in pixels of the page, opacity, hidden: a Set of the classes that have no dots}.
 */
export function drawDots(canvas, { x, y, labels }, view, { radius, opacity, hidden }) {
  const scale = window.devicePixelRatio;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((side) => Math.round(side * scale));
  Object.assign(canvas, { width, height }); // which clears it
  const context = canvas.getContext("2d");
  const [perX, perY] = [width / (view.x[1] - view.x[0]), height / (view.y[1] - view.y[0])];
  drawAxes(context, -view.x[0] * perX, view.y[1] * perY, scale);

  context.globalAlpha = opacity;
  const colours = new Map([...new Set(labels)].map((label) => [label, coloured(colourOf(label))]));
  labels.forEach((label, index) => {
    if (hidden.has(label)) return;
    context.fillStyle = colours.get(label);
    context.beginPath(); // one for each, as dots of one path do not darken where they overlap
    context.arc((x[index] - view.x[0]) * perX, (view.y[1] - y[index]) * perY, radius * scale, 0, 2 * Math.PI);
    context.fill();
  });
}

function drawAxes(context, x, y, thickness) {
  context.fillStyle = coloured("var(--border-color-primary)");
  context.fillRect(x - thickness / 2, 0, thickness, context.canvas.height);
  context.fillRect(0, y - thickness / 2, context.canvas.width, thickness);
}
