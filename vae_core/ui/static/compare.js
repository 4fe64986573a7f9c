// A second model beside the first: which one it is. Whoever shows what it makes of things listens.

import { onRuns } from "./models.js";
import { cardOf, model, named, onModel, tellProblem } from "./studio.js";

const listeners = [];
let card = null;

export const other = () => card;

/** Calls the listener with the second model's card, or null, now and whenever it changes. */
export function onOther(listener) {
  listeners.push(listener);
  listener(card);
}

/** Compares with the model of this name; "" ends the comparison. */
export async function compareWith(run) {
  if (run === (card?.run ?? "")) return;
  try {
    card = run ? await cardOf(run) : null;
  } catch (error) {
    card = null;
    tellProblem(error.message);
  }
  for (const listener of listeners) listener(card);
}

onModel((chosen) => {
  if (chosen.run === card?.run) compareWith("");
});

export function mount(element) {
  const { chosen, choices } = named(element);
  let known = null;
  const fill = () => {
    const others = (known ?? []).filter((run) => run !== model()?.run);
    chosen.textContent = card?.run ?? "nothing";
    choices.replaceChildren(...["", ...others].map(choiceOf));
    element.hidden = known !== null && others.length === 0; // until the runs are known, it keeps its place
  };
  onRuns((runs) => {
    known = runs;
    fill();
  });
  onModel(fill);
  onOther(fill);
}

function choiceOf(run) {
  const choice = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "text-button";
  button.textContent = run || "nothing";
  button.setAttribute("aria-pressed", run === (card?.run ?? ""));
  button.addEventListener("click", () => {
    button.closest("details").open = false;
    compareWith(run);
  });
  choice.append(button);
  return choice;
}
