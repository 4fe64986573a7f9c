// The drawing pad: draws at the first touch, with mouse, pen, finger and keys, and asks the model as it goes.
// The ink lies on the canvas alone: whatever is on it, drawn or brought in, can be undone and erased.

import { onOther, other } from "./compare.js";
import { anyTestImage } from "./latent.js";
import { Again, Latest, address, answered, ask, isShortcut, isShown, keep, kept, model, modelAddress, onModel, partsOf, whenShown, within } from "./studio.js";

const MOST_UNDOS = 40;
const KEY_STEP = 7;
const DRAWING = "studio-drawing";
const listeners = [];
const pen = { width: 24, isErasing: false };
const reading = { centre: true, sampled: false, seed: 0 };
const undone = [];
let canvas = null;
let context = null;
let marks = null;
let isEmpty = true;
let changes = 0; // of the ink, counted
let told = null; // what the listeners were told last
let taken = null; // the test image that is on the pad, with nothing changed
let retry = null;
const reconstruct = new Latest(send);

export function mount(element) {
  canvas = element.querySelector("canvas");
  context = canvas.getContext("2d", { willReadFrequently: true });
  marks = partsOf(element);
  retry = new Again(whenShown(element, () => isEmpty || told?.isOfFile || request())); // else the file's problem would go
  fill();
  listenToPointer();
  listenToKeys();
  listenToFiles(element);
  const again = () => !isEmpty && request();
  onModel(again);
  onOther(again);
  // When the page is loaded again, or a phone has put it away, the drawing is there again.
  document.addEventListener("visibilitychange", () => document.hidden && keep(DRAWING, isEmpty ? "" : canvas.toDataURL()));
  restore(kept(DRAWING));
}

async function restore(drawing) {
  if (!drawing) return;
  const picture = await loaded(drawing);
  if (isEmpty) show(picture);
}

async function loaded(source) {
  const picture = new Image();
  picture.src = source;
  await picture.decode();
  return picture;
}

function show(picture) {
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  setEmpty(false);
  request();
}

/**
 * Calls the listener with what the model makes of each drawing, null for an empty one; with {problem} if it cannot,
 * and {problem, isOfFile} if a file could not be brought in, which leaves the drawing as it was.
 */
export function onReconstruction(listener) {
  listeners.push(listener);
  if (told !== null) listener(told); // a drawing that is there again may be answered before the listener comes to life
}

/** Whether there is anything on the pad. */
export const isDrawn = () => !isEmpty;

/** Changes how the pen draws from now on: width, isErasing. */
export const setPen = (changes) => Object.assign(pen, changes);

/** Changes how the drawing is read: centre, sampled, seed. */
export function setReading(changes) {
  Object.assign(reading, changes);
  if (!isEmpty) request();
}

/** Button "Clear". */
export function clear() {
  if (!isEmpty) saveForUndo();
  fill();
}

/** Takes back the last stroke, picture or clearing. */
export function undo() {
  const last = undone.pop();
  if (!last) return;
  markChange();
  context.putImageData(last.ink, 0, 0);
  setEmpty(last.isEmpty);
  if (isEmpty) tell(null);
  else request();
}

/** Puts the ink of a picture file on the pad, whatever its size and whichever way round its colours are. */
export async function bringIn(file) {
  try {
    const response = await answered(address("ink.png"), { method: "POST", body: file });
    const ink = await createImageBitmap(await response.blob());
    saveForUndo();
    show(ink);
  } catch (error) {
    const end = isEmpty ? "" : `${error.message.endsWith(".") ? "" : "."} The drawing is as it was.`;
    tell({ problem: error.message + end, isOfFile: true });
  }
}

/** Any of the test images, as if it had been drawn; not over what is drawn before it comes. */
export async function takeTestImage() {
  const asked = changes;
  try {
    const from = await anyTestImage();
    const image = await loaded(from.picture);
    if (changes !== asked) return;
    saveForUndo();
    taken = from;
    show(image);
  } catch (error) {
    tell({ problem: error.message, isOfFile: true });
  }
}

function setEmpty(value) {
  isEmpty = value;
  marks.invitation.hidden = !value;
}

function fill() {
  setEmpty(true);
  context.fillStyle = "#000";
  context.fillRect(0, 0, canvas.width, canvas.height);
  tell(null);
}

function markChange() {
  changes += 1;
  taken = null;
}

function saveForUndo() {
  markChange();
  undone.push({ ink: context.getImageData(0, 0, canvas.width, canvas.height), isEmpty });
  if (undone.length > MOST_UNDOS) undone.shift();
}

function listenToPointer() {
  let last = null;
  let pointer = null; // a second finger does not draw
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || last !== null) return;
    pointer = event.pointerId;
    canvas.setPointerCapture(event.pointerId);
    saveForUndo();
    last = place(event);
    stroke(last, last);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (last === null || event.pointerId !== pointer) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const step of events.length ? events : [event]) {
      const next = place(step);
      stroke(last, next);
      last = next;
    }
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
    canvas.addEventListener(end, (event) => {
      if (event.pointerId === pointer) last = null;
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
  if (isEmpty && pen.isErasing) return;
  setEmpty(false);
  context.strokeStyle = pen.isErasing ? "#000" : "#fff";
  context.lineWidth = pen.width;
  context.lineCap = "round";
  context.beginPath();
  context.moveTo(from.x, from.y);
  context.lineTo(to.x, to.y + (from === to ? 0.01 : 0)); // a dot: a line of no length is not drawn
  context.stroke();
  request();
}

/** A pen for those who have no pointer: it is moved by arrows, and draws while it is down. */
function listenToKeys() {
  const steps = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  let at = { x: canvas.width / 2, y: canvas.height / 2 };
  let isDown = false;
  const showNib = () => {
    marks.nib.hidden = false;
    marks.nib.classList.toggle("down", isDown);
    marks.nib.style.left = `${(100 * at.x) / canvas.width}%`;
    marks.nib.style.top = `${(100 * at.y) / canvas.height}%`;
  };
  canvas.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "z") {
      event.preventDefault();
      undo();
      return;
    }
    const step = steps[event.key];
    if ((!step && event.key !== " ") || isShortcut(event)) return;
    event.preventDefault();
    if (event.key === " ") {
      if (event.repeat) return; // the key is held
      isDown = !isDown;
      if (isDown) {
        saveForUndo();
        stroke(at, at);
      }
    } else {
      const next = {
        x: within(at.x + step[0] * KEY_STEP, 0, canvas.width),
        y: within(at.y + step[1] * KEY_STEP, 0, canvas.height),
      };
      if (isDown) stroke(at, next);
      at = next;
    }
    showNib();
  });
  canvas.addEventListener("focus", () => canvas.matches(":focus-visible") && showNib());
  canvas.addEventListener("blur", () => {
    isDown = false;
    marks.nib.hidden = true;
  });
}

function listenToFiles(element) {
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find(({ type }) => type.startsWith("image/"));
    if (!file || !isShown(element)) return;
    event.preventDefault();
    bringIn(file);
  });
  element.addEventListener("dragover", (event) => event.preventDefault());
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    const [file, ...more] = event.dataTransfer.files;
    if (more.length) tell({ problem: `${more.length + 1} files: expected one picture at a time.`, isOfFile: true });
    else if (file) bringIn(file);
  });
}

/** Asks for the drawing as it is now; the pad says that it is busy until the newest answer is there. */
async function request() {
  canvas.setAttribute("aria-busy", true);
  await reconstruct.submit();
  canvas.setAttribute("aria-busy", reconstruct.isBusy);
}

async function send() {
  if (!model()) return; // it is asked as soon as there is one
  const body = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  const { centre, sampled, seed } = reading;
  const how = { centre, on_paper: false, sampled, seed }; // whatever reaches the border of the pad is ink
  const ofModel = (card) => ask(modelAddress("sketch", how, card), { method: "POST", body });
  const [card, from] = [model(), taken];
  let [answer, second, problem] = [null, null, null];
  try {
    [answer, second] = await Promise.all([ofModel(card), other() && ofModel(other()).catch((error) => ({ problem: error }))]);
  } catch (error) {
    problem = error;
  }
  if (isEmpty || card !== model()) return; // the pad was cleared, or another model is asked already
  if (problem) {
    tell({ problem: problem.message });
    retry.after(problem);
    return;
  }
  if (second?.problem) retry.after(second.problem);
  else retry.stop();
  showBox(answer.empty || !centre ? null : answer.box);
  tell(answer.empty ? null : { ...answer, second, taken: from });
}

/** Where on the drawing the model found the digit. */
function showBox(box) {
  marks.fitted.hidden = !box;
  if (!box) return;
  const [left, top, right, bottom] = box.map((share) => 100 * share);
  Object.assign(marks.fitted.style, { left: `${left}%`, top: `${top}%`, width: `${right - left}%`, height: `${bottom - top}%` });
}

function tell(answer) {
  told = answer;
  if (answer === null && marks) marks.fitted.hidden = true;
  for (const listener of listeners) listener(answer);
}
