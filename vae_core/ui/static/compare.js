// A second model beside the first: which one it is. Whoever shows what it makes of things listens.

import { address, ask, cardOf, model, named, onModel, tellProblem, whenShown } from "./studio.js";

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
  const fill = async () => {
    const { models } = await ask(address("models"));
    const runs = models.map(({ run }) => run).filter((run) => run !== model()?.run);
    choice.replaceChildren(new Option("no other model", ""), ...runs.map((run) => new Option(run, run)));
    choice.value = card?.run ?? "";
    element.hidden = runs.length === 0;
  };
  const fillWhenShown = whenShown(element, () => fill().catch(() => {}));
  onModel(fillWhenShown);
  onOther(fillWhenShown);
  choice.addEventListener("focus", fillWhenShown);
  choice.addEventListener("change", () => compareWith(choice.value));
}
