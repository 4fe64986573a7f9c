// The header: the name, the place for problems that concern every tab, and the way out for who had to log in.

import { named, onProblem, tellProblem } from "./studio.js";

export function mount(element) {
  const { alert, problem, close, logOut, who } = named(element);
  who.textContent = window.gradio_config?.username ?? "";
  logOut.hidden = who.textContent === "";
  leaveListsByTab();
  onProblem((text) => {
    problem.textContent = text ?? "";
    alert.hidden = !text;
  });
  close.addEventListener("click", () => tellProblem(null));
}

/** Gradio 6.31 opens a drop-down's list again at each key, Tab too, and it would stay when the focus has gone. */
function leaveListsByTab() {
  const isLeft = ({ key, target }) => key === "Tab" && target.matches('[role="combobox"]');
  document.addEventListener("keydown", (event) => isLeft(event) && event.stopPropagation(), { capture: true });
}
