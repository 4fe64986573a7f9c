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
  const { choice } = named(element);
  let known = [];
  const fill = () => {
    const others = known.filter((run) => run !== model()?.run);
    choice.replaceChildren(new Option("nothing", ""), ...others.map((run) => new Option(run, run)));
    choice.value = card?.run ?? "";
    element.hidden = others.length === 0;
  };
  onRuns((runs) => {
    known = runs;
    fill();
  });
  onModel(fill);
  onOther(fill);
  choice.addEventListener("change", () => compareWith(choice.value));
}
