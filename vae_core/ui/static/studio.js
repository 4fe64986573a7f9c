// What all tabs share: the chosen model, and the manners of asking the server.

const POLL_MILLISECONDS = 300;
const MOST_MILLISECONDS = 60_000; // from which a question is taken for lost
const LONGEST_PAUSE_MILLISECONDS = 60_000;
const MAY_PASS = [502, 503, 504]; // a busy server, or a proxy that does not reach it
const MOST_NAMED_BARS = 20;
/** Until what has failed is tried again. */
export const AGAIN_MILLISECONDS = 3000;
/** The one problem that only opening the page again ends; the header has the way to the log-in for it. */
export const LOGGED_OUT = "You are logged out, or the studio was started again: nothing more is shown until you log in.";
/** Says that a request is the page's own: what changes something wants it, as no form of another site can send it. */
export const OURS = { "X-VAE-Studio": "page" };
/** A picture of nothing, for an <img> that has none yet. */
export const EMPTY = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=";

const listeners = [];
const problemListeners = [];
let card = null;
let newestChoice = 0;
let isChoosing = false;
let problem = null;
let due = null; // the run that was chosen and did not come, where that may pass
let tellRefusal = () => {};

/** The address of a direct route, with its parameters. */
export function address(path, parameters = {}) {
  const url = new URL(`studio/${path}`, document.baseURI);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url.href;
}

/** The address of something of a model, by default the chosen one; it changes when that is trained further. */
export function modelAddress(path, parameters = {}, of = card) {
  return address(`runs/${of.run}/${path}`, { ...parameters, v: of.version });
}

/** A latent vector as it stands in addresses. */
export const written = (z) => z.map((value) => +value.toFixed(3)).join();

/** What the page needs to know of a run's model. */
export const cardOf = (run) => ask(address(`runs/${encodeURIComponent(run)}/card`));

/**
 * Asks; throws an Error with the server's own words, which stand here as a sentence, and isFinal where the same
 * question would be answered alike.
 */
export async function answered(url, options) {
  const signal = options?.body instanceof File ? null : AbortSignal.timeout(MOST_MILLISECONDS); // a file may take its time
  const response = await fetch(url, { signal, ...options }).catch(() => {
    throw new Error("The app does not answer");
  });
  if (response.ok) return response;
  if (response.status === 401) tellProblem(LOGGED_OUT);
  const { error } = await response.json().catch(() => ({}));
  const words = sentence(error ?? `the server answered ${response.status}`);
  throw Object.assign(new Error(words), { isFinal: !MAY_PASS.includes(response.status) });
}

/** Asks and reads the answer; throws as `answered`. */
export const ask = async (url, options) => (await answered(url, options)).json();

/** Why a picture is not there, which an <img> does not tell, as a sentence. */
export async function whyMissing(picture) {
  try {
    await answered(picture.src);
    return "The app did not answer in time.";
  } catch (error) {
    return `${error.message}.`;
  }
}

/** With a capital, unless it begins with a name such as run.json or batch_size. */
export const sentence = (words) => words.replace(/^[a-z](?=[a-z]* )/, (letter) => letter.toUpperCase());

/**
 * Asks again and again until the answer is ready; tells how far it is, 0 to 1, and what is being done.
 * Answers null, and asks no more, when another model is chosen meanwhile or it is no longer wanted.
 */
export async function untilReady(url, tell, isWanted) {
  const current = card;
  for (;;) {
    const answer = await ask(url);
    if (card !== current || !isWanted()) return null;
    if (answer.ready) return answer;
    tell(answer.count ? answer.done / answer.count : 0, answer.step);
    await new Promise((done) => setTimeout(done, POLL_MILLISECONDS));
  }
}

/** Makes a run the model of every tab; where that fails, the model stays what it was, see retryModel. */
export async function chooseModel(run) {
  if (!run) return;
  const choice = (newestChoice += 1);
  isChoosing = true;
  let chosen;
  try {
    chosen = await cardOf(run);
  } catch (error) {
    if (choice !== newestChoice) return;
    isChoosing = false;
    tellProblem(error.message);
    due = error.isFinal ? null : run;
    if (error.isFinal) tellRefusal();
    return;
  }
  if (choice !== newestChoice) return; // an answer that comes late is of no model that is wanted any more
  isChoosing = false;
  const isSame = card?.run === chosen.run && card.version === chosen.version;
  if (due !== null || !isSame) tellProblem(null);
  due = null;
  if (isSame) return;
  card = chosen;
  for (const listener of listeners) listener(card);
}

/** Reads the card of the chosen model anew, as it has been trained further; not while another is being chosen. */
export async function refreshModel() {
  if (!isChoosing && due === null) await chooseModel(card.run);
}

/** Asks once more for the model that did not come when it was chosen, if there is such a one. */
export async function retryModel() {
  if (due !== null && !isChoosing) await chooseModel(due);
}

/** Calls the listener when a model that was chosen cannot be had, and the one before stays. */
export function onRefusal(listener) {
  tellRefusal = listener;
}

/** Calls the listener with the model's card, now if there is one and whenever it changes. */
export function onModel(listener) {
  listeners.push(listener);
  if (card) listener(card);
}

/** Whether two cards are of one model: the same run, also trained on, or the same weights under another name. */
export const isSameModel = (one, other) =>
  one?.created === other?.created && (one?.run === other?.run || one?.version === other?.version); // files may share their times

/** Resolves once there is a model: a button that is pressed while the page comes to life is obeyed then. */
export const firstModel = new Promise(onModel);

export const model = () => card;

/** Whether another is being chosen. */
export const isChoosingModel = () => isChoosing;

/** Calls the listener with each problem that concerns every tab, and with null when it is over. */
export function onProblem(listener) {
  problemListeners.push(listener);
  if (problem) listener(problem);
}

export function tellProblem(text) {
  if (problem === LOGGED_OUT) return;
  problem = text;
  for (const listener of problemListeners) listener(text);
}

/** That problem is over, if it is still what is told. */
export function withdrawProblem(text) {
  if (problem === text) tellProblem(null);
}

/** Keeps a text in the browser's tab, over a reload; where the browser keeps nothing, it is forgotten. */
export function keep(name, text) {
  try {
    sessionStorage.setItem(name, text);
  } catch {
    // forgotten
  }
}

/** What was kept under this name, or "". */
export function kept(name) {
  try {
    return sessionStorage.getItem(name) ?? "";
  } catch {
    return "";
  }
}

/** Keeps one task going at a time; of the values that come meanwhile only the newest is done, whatever the others threw. */
export class Latest {
  #perform;
  #busy = false;
  #waiting = null;

  constructor(perform) {
    this.#perform = perform;
  }

  get isBusy() {
    return this.#busy;
  }

  async submit(value) {
    this.#waiting = { value };
    if (this.#busy) return;
    this.#busy = true;
    try {
      while (this.#waiting) {
        const next = this.#waiting.value;
        this.#waiting = null;
        try {
          await this.#perform(next);
        } catch (error) {
          if (!this.#waiting) throw error;
        }
      }
    } finally {
      this.#busy = false;
    }
  }
}

/** Says nothing anew to those who hear the page, where it is what is said already. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Does something once more in some seconds, later each time, as long as it fails by what may pass. */
export class Again {
  #perform;
  #pause = AGAIN_MILLISECONDS;
  #timer = 0;

  constructor(perform) {
    this.#perform = perform;
  }

  /** Waits for a trial; its failure is told and it is made again, as long as it is wanted. */
  async see(trial, complain, isWanted = () => true) {
    try {
      await trial;
      this.stop();
    } catch (error) {
      if (!isWanted()) return;
      complain(error);
      this.after(error);
    }
  }

  /** It has failed. */
  after(error) {
    clearTimeout(this.#timer);
    if (error.isFinal) return;
    this.#timer = setTimeout(() => {
      this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE_MILLISECONDS);
      this.#perform();
    }, this.#pause);
  }

  /** It has succeeded, or is not wanted any more. */
  stop() {
    clearTimeout(this.#timer);
    this.#pause = AGAIN_MILLISECONDS;
  }
}

/** Elements of a part by their data-is names. */
export function partsOf(element) {
  const found = {};
  for (const child of element.querySelectorAll("[data-is]")) found[child.dataset.is] = child;
  return found;
}

/** Gives an element so many children, by default bars; those it has stay, and can grow and shrink. */
export function haveChildren(element, count, make = () => document.createElement("i")) {
  while (element.children.length > count) element.lastChild.remove();
  while (element.children.length < count) element.append(make());
}

/** Says at a bar which latent's nats it shows and how many, and beside it where all have room. */
export function nameBar(bar, latent, nats, count) {
  bar.title = `z${latent + 1}: ${nats.toFixed(2)} nats`;
  const hasRoom = count <= MOST_NAMED_BARS;
  bar.dataset.name = hasRoom ? `z${latent + 1}` : "";
  bar.dataset.nats = hasRoom ? nats.toFixed(1) : "";
}

/** Calls the function with the newest value once there has been none for so many milliseconds. */
export function afterwards(perform, milliseconds) {
  let timer = null;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => perform(...values), milliseconds);
  };
}

/** Runs the function when the part is seen, at once or as soon as its tab is opened, the page's or the browser's. */
export function whenShown(element, perform) {
  let due = false;
  const look = () => {
    if (!due || !isShown(element)) return;
    due = false;
    perform();
  };
  new IntersectionObserver(look).observe(element);
  document.addEventListener("visibilitychange", look);
  return () => {
    due = true;
    look();
  };
}

/** Whether a key is the browser's or the system's, such as Alt and an arrow, which goes back. */
export const isShortcut = ({ altKey, ctrlKey, metaKey }) => altKey || ctrlKey || metaKey;

export const within = (value, low, high) => Math.max(low, Math.min(high, value));

/**
 * A finger that scrolls the page touches what it happens to lie on: what a slider has done for it is taken back, as
 * soon as the browser sees that it scrolls. remember() is asked when the finger comes, and answers with how to do that.
 */
export function withoutScrolling(slider, remember) {
  let takeBack = null;
  let hasMoved = false;
  slider.addEventListener("pointerdown", () => {
    [takeBack, hasMoved] = [remember(), false];
  });
  slider.addEventListener("input", () => (hasMoved = true));
  slider.addEventListener("pointercancel", () => hasMoved && takeBack?.());
}

/** Hands the focus on from what is about to go or to rest: there it would be lost. */
export function passFocus(from, to) {
  if (from.contains(document.activeElement)) to.focus({ preventScroll: true });
}

/** Whether a finger is what points here: on a plot it scrolls the page. */
export const isTouched = window.matchMedia("(pointer: coarse)").matches;

/** Whether a part is on the screen, not in a hidden tab. */
export const isShown = (element) => element.offsetParent !== null && !document.hidden;
