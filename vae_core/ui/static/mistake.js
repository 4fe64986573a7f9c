// What is wrong with the fields of Generate, said where they are.

import { onMistake } from "./generated.js";
import { named } from "./studio.js";

export function mount(element) {
  const { words } = named(element);
  onMistake((mistake) => {
    words.hidden = !mistake;
    words.textContent = mistake;
  });
}
