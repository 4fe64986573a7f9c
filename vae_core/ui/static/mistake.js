// What is wrong with the fields of Generate, said where they are.

import { onMistake } from "./generated.js";
import { partsOf } from "./studio.js";

export function mount(element) {
  const { words } = partsOf(element);
  onMistake((mistake) => {
    words.hidden = !mistake;
    words.textContent = mistake;
  });
}
