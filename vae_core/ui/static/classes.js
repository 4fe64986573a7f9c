// Tells Gradio's drop-down "Class" which classes the chosen model knows.

import { model, onModel } from "./studio.js";
import { className } from "./words.js";

export function mount(element, trigger) {
  onModel(() => trigger("change"));
}

/** For Gradio: the drop-down's choices, and what is chosen if it is still among them. */
export function choices(chosen) {
  const classes = Object.keys(model().class_means);
  const update = { choices: [["all", ""], ...classes.map((label) => [className(label), label])], __type__: "update" };
  return [{ ...update, value: classes.includes(chosen) ? chosen : "" }];
}
