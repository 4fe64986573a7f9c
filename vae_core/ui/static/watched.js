// The run that the visitor has chosen to watch in Train, or "": then the server chooses, one that is trained first.
// It stands in the page's address.

import { withLesson } from "./lesson.js";
import { tellProblem } from "./studio.js";

const listeners = [];
let chosen = ofAddress(withLesson(location.search));
let isOfAddress = true;

function ofAddress(parameters) {
  return parameters.get("watch") ?? "";
}

export const chosenRun = () => chosen;

/** It, as a parameter of the page's address. */
export const watchedInAddress = () => (chosen ? { watch: chosen } : {});

/** Chooses the run of this name, or "". */
export function choose(name) {
  isOfAddress = false;
  change(name);
}

function change(name, how = {}) {
  if (name === chosen) return;
  chosen = name;
  for (const listener of listeners) listener(how);
}

/** Calls the listener whenever another run is chosen, or none; with isFollowed or isGivenUp where no visitor did. */
export function onChosen(listener) {
  listeners.push(listener);
}

/** Chooses what an address says, once the page is open: it began with that of its own. */
export function followWatched(parameters) {
  isOfAddress = true;
  change(ofAddress(parameters), { isFollowed: true });
}

/** No run of the chosen name is there: whose address named it is told, and the server chooses. */
export function giveUpChosen(instead) {
  if (isOfAddress) tellProblem(`The address names a run to watch that is not here, “${chosen}”. This is ${instead}.`);
  change("", { isGivenUp: true });
}
