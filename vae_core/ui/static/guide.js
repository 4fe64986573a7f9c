// The guide: a walk through the app in steps. Each leads to a place, with something to do there and, folded, what there
// is to see. The step stands in the page's address, so that a lesson can begin with it.

import { isPhone } from "./fold.js";
import { source } from "./latent.js";
import { CHOICES, hiddenParts, misnamed, PARTS, placeOfStep, shownTabs, STEPS } from "./lesson.js";
import { isDrawn } from "./sketch.js";
import { isShown, model, onModel, partsOf, passFocus } from "./studio.js";
import { select } from "./tested.js";

const MOST_FRAMES = 300;
const NOTHING = ":not(*)";
const listeners = [];
let lead = () => {};
let placeOfNow = () => ({});
let before = null; // where the visitor was when the guide was opened, and the picture behind the vector
let ledTo = ""; // where the guide has led to since
let step = null;
let isEntered = false; // and what it is about has not been brought into sight yet
let isThere = false; // where it begins: its model has been chosen
let render = () => {};
let sayModel = () => {};
/** The steps of which the lesson leaves nothing out. */
const there = CHOICES.step.filter((name) => {
  const tab = placeOfStep(name).get("tab") ?? "explore";
  return shownTabs().includes(tab) && !["guide", ...STEPS[name].parts].some((part) => hiddenParts().includes(part));
});
const marked = document.createElement("style"); // Gradio would take a class off its own elements

/** Tells this module how a place, as parameters of an address, is gone to, and which it is now. */
export function guideLeadsWith(visit, tellPlace) {
  [lead, placeOfNow] = [visit, tellPlace];
}

/** Calls the listener whenever another step is taken, or the guide is closed. */
export function onStep(listener) {
  listeners.push(listener);
}

/** The step, as a parameter of the page's address. */
export const stepInAddress = () => (step ? { step } : {});

/** Takes the step that an address says, or closes the guide. Answers with what cannot be followed, in words, or "". */
export function followStep(parameters) {
  const asked = parameters.get("step");
  take(there.includes(asked) ? asked : null);
  if (CHOICES.step.includes(asked) && step === null) return `The step “${asked}” of the guide is left out here.`;
  return misnamed("step", asked === null || step ? [] : [asked], there);
}

/** Brings what a new step is about into sight, once its tab is open. */
export async function bringAbout() {
  isThere = true;
  sayModel();
  if (!isEntered) return;
  isEntered = false;
  const [entered, selector] = [step, selectorOf(step)];
  if ((isPhone.matches && !STEPS[step].is_brought) || selector === NOTHING) return;
  let about = null;
  for (let frame = 0; frame < MOST_FRAMES && !(about && isShown(about)); frame += 1) {
    await new Promise(requestAnimationFrame);
    about = document.querySelector(selector); // a tab is made when it is first opened
  }
  if (step !== entered || !about) return;
  about.querySelector("details.fold")?.setAttribute("open", "");
  about.scrollIntoView({ block: isPhone.matches ? "start" : "nearest" });
}

export function mount(element) {
  const { open, card, content } = partsOf(element);
  const form = content.content; // in the page only while it is open: it speaks of digits, whatever the model has learned
  const children = [...form.children];
  const parts = partsOf(form);
  const articles = [...parts.steps.children];
  const headings = articles.map((article) => article.querySelector("h2"));
  let last = there[0];
  document.head.append(marked);
  element.hidden = there.length === 0;
  for (const name of there) {
    const dot = document.createElement("button");
    dot.type = "button";
    const title = headings[articles.findIndex((article) => article.dataset.step === name)].textContent;
    dot.ariaLabel = dot.title = `${there.indexOf(name) + 1} of ${there.length}: ${title}`;
    dot.addEventListener("click", () => go(name));
    parts.dots.append(dot);
  }
  render = () => {
    const hadFocus = card.contains(document.activeElement);
    card.hidden = step === null;
    open.ariaExpanded = step !== null;
    document.documentElement.classList.toggle("guided", step !== null);
    if (step === null) {
      card.replaceChildren();
      if (hadFocus) open.focus();
      return;
    }
    if (!card.hasChildNodes()) card.append(...children);
    last = step;
    for (const article of articles) {
      article.hidden = article.dataset.step !== step;
      if (article.hidden) article.querySelector("details").open = false;
    }
    [...parts.dots.children].forEach((dot, index) => (dot.ariaCurrent = there[index] === step ? "step" : null));
    parts.back.disabled = step === there[0];
    parts.next.textContent = step === there.at(-1) ? "Done" : "Next";
    if (parts.back.disabled) passFocus(parts.back, parts.next);
  };
  sayModel = () => {
    const of = modelOf(step);
    parts.other.hidden = !isThere || !of || model().run === of;
    if (parts.other.hidden) return;
    parts.of.textContent = of;
    parts.shown.textContent = model().run;
    parts.again.textContent = `Begin it with ${of}`;
  };
  onModel(() => sayModel());
  parts.again.addEventListener("click", () => go(step));
  parts.steps.addEventListener("click", ({ target }) => {
    if (target.dataset.place) lookAt(parametersOf(target.dataset.place));
  });
  const beside = (steps) => there[there.indexOf(step) + steps];
  const close = () => {
    const hasOnlyLooked = before !== null && ledTo === placeInShort() && !(step === "draw" && isDrawn());
    take(null);
    if (hasOnlyLooked) lead(before.place, before.source);
    before = null;
  };
  open.addEventListener("click", () => {
    if (step !== null) return close();
    before = model() && { place: placeOfNow(), source: source() };
    go(last);
    headings.find((heading) => !heading.parentElement.hidden).focus({ preventScroll: true }); // so that it is read
  });
  parts.back.addEventListener("click", () => go(beside(-1)));
  parts.next.addEventListener("click", () => (beside(1) ? go(beside(1)) : close()));
  parts.close.addEventListener("click", close);
  card.addEventListener("keydown", (event) => event.key === "Escape" && close());
  // The page's end stays in reach, however much of the guide is unfolded.
  new ResizeObserver(() => document.documentElement.style.setProperty("--guide", `${card.offsetHeight}px`)).observe(card);
  render();
}

/** The selector of what a step is about; of nothing where it is the whole tab. */
const selectorOf = (name) => STEPS[name]?.about || (PARTS[STEPS[name]?.parts[0]]?.where ?? NOTHING);

/** The model of which a step speaks; none where it speaks of a run that is watched. */
function modelOf(name) {
  const place = placeOfStep(name);
  return place.has("watch") ? null : place.get("model");
}

/** Goes to where a step begins, also from elsewhere in it. */
async function go(name, more = {}) {
  isEntered = true;
  take(name); // its words are there at once, whatever has to be loaded
  ledTo = "";
  await lead({ step: name, ...Object.fromEntries(placeOfStep(name)), ...more });
  if (step === name) ledTo = placeInShort();
}

/** Without the tab, of which Gradio tells later. */
const placeInShort = () => JSON.stringify({ ...placeOfNow(), tab: null });

/** What a step asks for: of the images that are in sight, or else from where it begins. */
function lookAt(wanted) {
  const about = document.querySelector(selectorOf(step));
  if ("order" in wanted && isThere && about && isShown(about)) select(wanted);
  else go(step, wanted);
}

const parametersOf = (place) => Object.fromEntries(new URLSearchParams(place));

function take(name) {
  if (name === step) return;
  step = name;
  marked.textContent = `${selectorOf(name)} { outline: var(--marked); outline-offset: var(--marked-offset); border-radius: 12px; scroll-margin-top: var(--marked-margin); }`;
  isEntered = step !== null;
  isThere = false;
  render();
  sayModel();
  for (const listener of listeners) listener(step);
}
