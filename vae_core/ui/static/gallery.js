// The test images of a range of errors: original, reconstruction and difference of each, a page at a time.

import { explore } from "./latent.js";
import { misnamed } from "./lesson.js";
import { Again, Latest, ask, model, onModel, partsOf, passFocus, untilReady, whenShown } from "./studio.js";
import { NOT_HERE, asAddressed, besideAddressed, changeView, images, isComparable, measureHere, onSelection, onView, select, testedAddress } from "./tested.js";

const ORDERS = { best: "rising", typical: "typical", worst: "falling", better: "better", worse: "worse" };
const COMPARING = ["better", "worse"];
const MADE = ["reconstruction", "difference"];
let parts = null;
let hint = "";
let facts = null;
let selection = null;
let page = 0;
let shownPage = 0; // another one than `page` until that has come
let pages = 0;
let shownSpan = ""; // what the fields say, until somebody writes there
let isNew = false; // the selection has just been made: its first images come into sight

export function mount(element) {
  parts = partsOf(element);
  hint = parts.about.textContent;
  const show = new Latest(() => retry.see(load(), complain));
  const retry = new Again(whenShown(element, () => show.submit()));
  for (const [name, order] of Object.entries(ORDERS)) {
    parts[name].addEventListener("click", () => select({ order }));
  }
  parts.here.addEventListener("click", () => changeView({ on: "here" }));
  parts.range.addEventListener("submit", (event) => {
    event.preventDefault();
    const isUntouched = [parts.low.value, parts.high.value].join() === shownSpan && selection?.low !== undefined;
    const [low, high] = isUntouched ? [selection.low, selection.high] : [Number(parts.low.value), Number(parts.high.value)].sort((a, b) => a - b);
    select({ low, high });
  });
  for (const [name, step] of [["previous", -1], ["next", 1]]) {
    parts[name].addEventListener("click", () => {
      if (page !== shownPage) return; // until it is known what lies beyond
      page += step;
      show.submit();
    });
  }
  onSelection((news) => {
    [selection, page, shownPage, isNew] = [news, 0, 0, news !== selection];
    show.submit();
  });
  onModel(() => (parts.images.inert = true)); // until the new model's are there
  onView((news) => {
    // Where only the second model is another, the same images stay, unless it says which there are.
    if (news.view !== facts?.view || COMPARING.includes(selection?.order)) page = shownPage = 0;
    facts = news;
    tellBeside();
    show.submit();
  });
}

function tellBeside() {
  parts.comparing.hidden = !isComparable();
  parts.besideName.textContent = `Where ${facts.beside?.run} is`;
}

function complain(error) {
  if (!parts.images.children.length) parts.about.textContent = hint;
  page = shownPage;
  restPages();
  parts.problem.hidden = false;
  parts.problem.textContent = error.message;
}

async function load() {
  const [asked, of] = [selection, facts];
  if (of === null) return; // they are on their way
  parts.problem.hidden = true;
  press();
  const available = await images();
  if (asked !== selection) return;
  for (const way of [...Object.keys(ORDERS), "show"]) parts[way].disabled = Boolean(available.missing);
  offerHere(available);
  if (available.missing) return clear(NOT_HERE);
  if (asked === null) {
    showSpan([facts.low, facts.high]);
    return clear(hint);
  }
  if (COMPARING.includes(asked.order) && !isComparable()) {
    return clear("Better and worse need a second model that was tested on the same images: choose one under Compare with.");
  }
  const unknown = [asked.label, asked.read_as].filter((label) => Number.isInteger(label) && !classOf(label));
  if (unknown.length) return clear(misnamed("class", unknown, facts.classes.map(({ name }) => name)));
  if (!parts.images.children.length) parts.about.textContent = "Looking for these images…";
  if (Number.isInteger(asked.read_as)) {
    // It takes seconds where nobody has asked for the table; in the gallery's place, which others need, none is spent.
    const tell = (share) => (parts.about.textContent = `Reading the reconstructions: ${Math.round(100 * share)}%.`);
    if (isNew) parts.about.scrollIntoView({ block: "center" }); // with room for what comes below
    if ((await untilReady(testedAddress("turned"), tell, () => asked === selection)) === null) return;
  }
  const answer = await ask(testedAddress("gallery", { ...asAddressed(asked), ...besideAddressed(), page }));
  if (asked !== selection || of !== facts || of.run !== model().run) return;
  parts.about.textContent = described(asked, answer);
  parts.images.replaceChildren(...answer.items.map(shownImage));
  parts.images.classList.toggle("compared", answer.items.some(({ beside }) => beside));
  parts.images.inert = false;
  [shownPage, pages] = [page, answer.pages];
  parts.pages.hidden = pages < 2;
  restPages();
  if (asked.low !== undefined) showSpan([asked.low, asked.high]);
  else showSpan(isOfAll(asked) && !COMPARING.includes(asked.order) ? answer.items.map(({ error }) => error) : []); // "Show" asks for all classes
  const first = page * answer.size;
  if (isNew) parts.images.firstElementChild?.scrollIntoView({ block: "nearest" });
  isNew = false;
  parts.where.textContent = `${(first + 1).toLocaleString("en")} to ${(first + answer.items.length).toLocaleString("en")} of ${answer.count.toLocaleString("en")}`;
}

/** Where the images are not in the app, the way to those that are stands where one looks for them. */
function offerHere({ missing, here }) {
  const isOffered = Boolean(missing && here);
  if (!isOffered) passFocus(parts.way, parts.best);
  parts.way.hidden = !isOffered;
  if (here) parts.here.textContent = measureHere(here);
}

function restPages() {
  const [isFirst, isLast] = [page === 0, page + 1 >= pages];
  parts.previous.disabled = parts.next.disabled = false;
  if (isFirst) passFocus(parts.previous, parts.next);
  if (isLast) passFocus(parts.next, parts.previous);
  [parts.previous.disabled, parts.next.disabled] = [isFirst, isLast];
}

function clear(words) {
  parts.about.textContent = words;
  parts.images.replaceChildren();
  parts.pages.hidden = true;
}

/** Whether a selection leaves out no class and no error. */
const isOfAll = (wanted) => Object.keys(asAddressed(wanted)).every((name) => name === "order");

/** Marks the shortcut that is shown. */
function press() {
  for (const [name, order] of Object.entries(ORDERS)) {
    parts[name].setAttribute("aria-pressed", selection?.order === order && isOfAll(selection));
  }
}

/** In the fields stands from where to where the errors go of what is seen, rounded so that "Show" leaves out none. */
function showSpan(errors) {
  const inField = (round, error) => (errors.length ? (round(error * 1e4) / 1e4).toFixed(4) : "");
  parts.low.value = inField(Math.floor, Math.min(...errors));
  parts.high.value = inField(Math.ceil, Math.max(...errors));
  shownSpan = [parts.low.value, parts.high.value].join();
}

const classOf = (label) => facts.classes.find((row) => row.label === label);
const nameOf = (label) => classOf(label)?.name ?? String(label);

function described(asked, { count, page: at, size, differs }) {
  const { low, high, label, read_as: readAs, order } = asked;
  const other = isComparable() && facts.beside.run;
  const of = Number.isInteger(label) ? `of class ${nameOf(label)} ` : "";
  const as = Number.isInteger(readAs) ? `whose reconstruction is read as ${nameOf(readAs)} ` : "";
  const within = low === undefined ? "" : `with an error from ${low.toFixed(4)} to ${high.toFixed(4)} `;
  const apart = COMPARING.includes(order) ? `on which ${other} is ${order}` : "";
  const ordered = { falling: "the worst first", typical: "the nearest to the median first" }[order] ?? "in the order of their error";
  const sorted = apart ? "by the most first" : ordered;
  const noun = count === 1 ? "test image" : "test images";
  const shortcut = isOfAll(asked) && !apart && at === 0 && count > size && Object.keys(ORDERS).find((name) => ORDERS[name] === order);
  const note = differs
    ? " The errors beside the pictures are of a new draw: the evaluation was made on another device, or of other images."
    : "";
  const which = shortcut
    ? `The ${size} ${shortcut} of ${count.toLocaleString("en")} test images`
    : `${count.toLocaleString("en")} ${noun} ${of}${as}${within}${apart}`.trimEnd() + `, ${sorted}`;
  const how = other
    ? `Beside each original: reconstruction and difference, the upper pair by ${model().run}, the lower by ${other}.`
    : "Side by side: original, reconstruction, difference.";
  return `${which}. ${how}${note}`;
}

function shownImage(image) {
  const item = document.createElement("li");
  const pictures = document.createElement("div");
  pictures.className = "triple";
  const { beside } = image;
  pictures.append(pictureOf("original", image.original, image));
  for (const [made, by] of [[image, ""], ...(beside ? [[beside, ` by ${facts.beside.run}`]] : [])]) {
    for (const name of MADE) pictures.append(pictureOf(`${name}${by}`, made[name], image));
  }
  const words = [wordsOf(image.name, image, image)];
  if (beside) words.push(wordsOf(facts.beside.run, beside, image));
  const button = document.createElement("button");
  button.type = "button";
  button.className = "text-button";
  button.textContent = "Explore from here";
  button.dataset.is = "explore";
  button.setAttribute("aria-label", `Explore from here: test image ${image.index}, class ${image.name}`);
  button.addEventListener("click", () =>
    explore(image.z, {
      words: `test image ${image.index}, class ${image.name}`,
      index: image.index,
      picture: image.original,
      mean: image.mean,
      deviation: image.deviation,
    }),
  );
  item.append(pictures, ...words, button);
  return item;
}

function pictureOf(words, src, { index, name }) {
  const picture = document.createElement("img");
  Object.assign(picture, { src, width: 28, height: 28, title: words, alt: `${words} of test image ${index}, class ${name}` });
  return picture;
}

/** Below the pictures: whose or of which class, what it is read as if that is another, and the error. */
function wordsOf(head, { read_as: readAs, read_as_name: readAsName, shown_error: error }, { label, index }) {
  const words = document.createElement("p");
  const strong = document.createElement("strong");
  strong.textContent = head;
  words.append(strong, readAs === label ? "" : ` read as ${readAsName}`, ` · ${error.toFixed(4)}`);
  words.title = `test image ${index}`;
  return words;
}
