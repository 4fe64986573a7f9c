// The header: the name, the place for problems that concern every tab, and the way out for who had to log in.

import { named, onProblem } from "./studio.js";

export function mount(element) {
  const { problem, logOut, who } = named(element);
  who.textContent = window.gradio_config?.username ?? "";
  logOut.hidden = who.textContent === "";
  onProblem((text) => {
    problem.textContent = text ?? "";
    problem.hidden = !text;
  });
}
