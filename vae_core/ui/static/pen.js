// The tools beside the drawing pad.

import { bringIn, set, undo } from "./sketch.js";
import { named } from "./studio.js";

export function mount(element) {
  const parts = named(element);
  parts.pen.addEventListener("change", () => set({ isErasing: false }));
  parts.eraser.addEventListener("change", () => set({ isErasing: true }));
  parts.width.addEventListener("input", () => set({ width: Number(parts.width.value) }));
  parts.centre.addEventListener("change", () => set({ centre: parts.centre.checked }));
  parts.undo.addEventListener("click", undo);
  parts.photo.addEventListener("change", () => {
    const [file] = parts.photo.files;
    if (file) bringIn(file);
    parts.photo.value = "";
  });
}
