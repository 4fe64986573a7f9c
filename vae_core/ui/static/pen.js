// The tools beside the drawing pad.

import { bringIn, clear, onReconstruction, set, undo } from "./sketch.js";
import { named, onModel } from "./studio.js";
import { isOfDigits } from "./words.js";

export function mount(element) {
  const parts = named(element);
  let wasOfDigits = true;
  onModel(() => {
    if (isOfDigits() === wasOfDigits) return;
    wasOfDigits = parts.centre.checked = isOfDigits(); // other sets fill the picture, as the drawing does the pad
    set({ centre: parts.centre.checked });
  });
  onReconstruction((news) => {
    parts.problem.hidden = !news?.problem;
    parts.problem.textContent = news?.problem ?? "";
  });
  parts.pen.addEventListener("change", () => set({ isErasing: false }));
  parts.eraser.addEventListener("change", () => set({ isErasing: true }));
  parts.width.addEventListener("input", () => set({ width: Number(parts.width.value) }));
  parts.centre.addEventListener("change", () => set({ centre: parts.centre.checked }));
  parts.undo.addEventListener("click", undo);
  parts.clear.addEventListener("click", () => {
    clear();
    parts.pen.checked = true; // there is nothing to erase
    set({ isErasing: false });
  });
  parts.photo.addEventListener("change", () => {
    const [file] = parts.photo.files;
    if (file) bringIn(file);
    parts.photo.value = "";
  });
}
