// The header: the name, and the place for problems that concern every tab.

import { named, onProblem } from "./studio.js";

export function mount(element) {
  const { problem } = named(element);
  onProblem((text) => {
    problem.textContent = text ?? "";
    problem.hidden = !text;
  });
}
