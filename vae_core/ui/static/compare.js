// A second model beside the first: which one it is. Whoever shows what it makes of things listens.

import { onRuns, onVersions } from "./models.js";
import { cardOf, isShortcut, model, onModel, partsOf, tellProblem } from "./studio.js";

const listeners = [];
let card = null;
let wanted = ""; // its name; while it is not the card's, the card is on its way
let first = ""; // the name of the model that it is compared with
let known = null; // the names of the runs, once they have been told

export const other = () => card;

/** Calls the listener with the second model's card, or null, now and whenever it changes. */
export function onOther(listener) {
  listeners.push(listener);
  listener(card);
}

/** Compares with the model of this name; "" ends the comparison. Where that fails, it stays what it was. */
export async function compareWith(run) {
  if (run === wanted) return;
  wanted = run;
  await read();
}

async function read() {
  const run = wanted;
  let chosen = null;
  try {
    if (run) chosen = await cardOf(run);
  } catch (error) {
    if (run !== wanted) return;
    wanted = card?.run ?? "";
    tellProblem(error.message);
    return;
  }
  if (run !== wanted) return; // an answer that comes late is of no model that is wanted any more
  card = chosen;
  for (const listener of listeners) listener(card);
}

onModel((chosen) => {
  // The two change places, unless the first was chosen away because it is gone.
  if (chosen.run === wanted) compareWith(known?.includes(first) ? first : "");
  first = chosen.run;
});

onRuns((runs) => (known = runs));

onVersions((versions) => {
  if (card === null || card.run !== wanted) return;
  if (!(card.run in versions)) compareWith("");
  else if (card.version !== versions[card.run]) read();
});

export function mount(element) {
  const { menu, chosen, choices } = partsOf(element);
  // Not as the pointer goes down: the page gets shorter, and something else might lie where it comes up.
  const turnAway = ({ target }) => menu.contains(target) || (menu.open = false);
  document.addEventListener("click", turnAway, { capture: true });
  document.addEventListener("keydown", ({ key }) => {
    if (key !== "Escape" || !menu.open) return;
    if (menu.contains(document.activeElement)) menu.querySelector("summary").focus();
    menu.open = false;
  });
  menu.addEventListener("toggle", () => {
    if (menu.open) choices.scrollIntoView({ block: "nearest" });
  });
  choices.addEventListener("keydown", (event) => {
    const buttons = [...choices.querySelectorAll("button")];
    const at = buttons.indexOf(event.target);
    const places = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 };
    if (!(event.key in places) || isShortcut(event)) return;
    event.preventDefault();
    buttons.at(places[event.key] % buttons.length).focus();
  });
  let offered = "";
  const fill = () => {
    const others = (known ?? []).filter((run) => run !== model()?.run);
    const offer = JSON.stringify([known !== null, others, card?.run ?? ""]);
    if (offer === offered) return; // a choice that has the focus keeps it
    offered = offer;
    chosen.textContent = card?.run ?? "nothing";
    choices.replaceChildren(...["", ...others].map(choiceOf));
    element.hidden = known !== null && others.length === 0; // until the runs are known, it keeps its place
  };
  onRuns(fill);
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
    const menu = button.closest("details");
    menu.open = false;
    menu.querySelector("summary").focus();
    compareWith(run);
  });
  choice.append(button);
  return choice;
}
