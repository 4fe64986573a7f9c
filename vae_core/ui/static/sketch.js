// The drawing pad: draws at the first touch, with mouse, pen and finger, and asks the model as it goes.

import { Latest, ask, modelAddress, onModel } from "./studio.js";

const PEN_WIDTH = 22;
const listeners = [];
let canvas = null;
let context = null;
let isEmpty = true;
const reconstruct = new Latest(send);

export function mount(element) {
  canvas = element.querySelector("canvas");
  context = canvas.getContext("2d", { willReadFrequently: true });
  clear();
  listenToPointer();
  onModel(() => !isEmpty && reconstruct.submit());
}

/** Calls the listener with what the model makes of each drawing, or null for an empty one. */
export function onReconstruction(listener) {
  listeners.push(listener);
}

/** Button "Clear". */
export function clear() {
  isEmpty = true;
  context.fillStyle = "#000";
  context.fillRect(0, 0, canvas.width, canvas.height);
  tell(null);
}

function listenToPointer() {
  let last = null;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    last = place(event);
    stroke(last, last);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (last === null) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const step of events.length ? events : [event]) {
      const next = place(step);
      stroke(last, next);
      last = next;
    }
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
    canvas.addEventListener(end, () => {
      last = null;
    });
  }
}

function place(event) {
  const box = canvas.getBoundingClientRect();
  return {
    x: ((event.clientX - box.left) / box.width) * canvas.width,
    y: ((event.clientY - box.top) / box.height) * canvas.height,
  };
}

function stroke(from, to) {
  isEmpty = false;
  context.strokeStyle = "#fff";
  context.lineWidth = PEN_WIDTH;
  context.lineCap = "round";
  context.beginPath();
  context.moveTo(from.x, from.y);
  context.lineTo(to.x, to.y);
  context.stroke();
  reconstruct.submit();
}

async function send() {
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  try {
    const answer = await ask(modelAddress("sketch"), { method: "POST", body: blob });
    if (!isEmpty) tell(answer.empty ? null : answer);
  } catch (error) {
    tell({ problem: error.message });
  }
}

function tell(answer) {
  for (const listener of listeners) listener(answer);
}
