// The page's colours. They stand in studio.css, in light and dark; what cannot read var(...) gets their values here.

const VARIABLE = /^var\((--[\w-]+)\)$/;
const CLASSES = 10;

/** The colour of a class. */
export const colourOf = (label) => `var(--class-${label % CLASSES})`;

/** What a variable of the page's style is worth now. */
export const worth = (name) => getComputedStyle(document.querySelector(".gradio-container")).getPropertyValue(name).trim();

/** A copy of a value in which each text that is a var(...) has become its colour. */
export function coloured(value) {
  if (typeof value === "string") return VARIABLE.test(value) ? worth(VARIABLE.exec(value)[1]) : value;
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map(coloured);
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, coloured(part)]));
}

/** Calls the listener when the page has gone from light to dark or back. */
export function onTheme(listener) {
  new MutationObserver(() => listener()).observe(document.body, { attributes: true, attributeFilter: ["class"] });
}
