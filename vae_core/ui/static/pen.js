// The tools beside the drawing pad.

import { bringIn, clear, onReconstruction, setPen, setReading, undo } from "./sketch.js";
import { onModel, partsOf } from "./studio.js";
import { isOfDigits } from "./words.js";

export function mount(element) {
  const parts = partsOf(element);
  let wasOfDigits = true;
  onModel(() => {
    if (isOfDigits() === wasOfDigits) return;
    wasOfDigits = parts.centre.checked = isOfDigits(); // other sets fill the picture, as the drawing does the pad
    setReading({ centre: parts.centre.checked });
  });
  onReconstruction((news) => {
    parts.problem.hidden = !news?.problem;
    parts.problem.textContent = news?.problem ?? "";
  });
  parts.pen.addEventListener("change", () => setPen({ isErasing: false }));
  parts.eraser.addEventListener("change", () => setPen({ isErasing: true }));
  parts.width.addEventListener("input", () => setPen({ width: Number(parts.width.value) }));
  parts.centre.addEventListener("change", () => setReading({ centre: parts.centre.checked }));
  parts.undo.addEventListener("click", undo);
  parts.clear.addEventListener("click", () => {
    clear();
    parts.pen.checked = true; // there is nothing to erase
    setPen({ isErasing: false });
  });
  parts.photo.addEventListener("change", () => {
    const [file] = parts.photo.files;
    if (file) bringIn(file);
    parts.photo.value = "";
  });
}
