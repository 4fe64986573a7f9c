// Watches a run: asks the server what is new, appends it to the curve, shows how the training stands.
// The curve is curve.js's, the pictures beside it and their replay previews.js's, the latents and errors watchful.js's.

import { isFull, onOverlaid, showCurve } from "./curve.js";
import { shownTabs } from "./lesson.js";
import { exploreModel } from "./link.js";
import { onRuns } from "./models.js";
import { plotly } from "./plots.js";
import { showPreviews, watchTimeline } from "./previews.js";
import { agreed } from "./question.js";
import { address, ask, isShown, keep, kept, partsOf, sentence, setText } from "./studio.js";
import { choose, chosenRun, giveUpChosen, onChosen } from "./watched.js";
import { showErrors, showLatents } from "./watchful.js";
import { sayer } from "./words.js";

const RUNNING_MILLISECONDS = 120;
const RUNNING_AT_MOST_MILLISECONDS = 500;
const RESTS_TO_A_LOOK = 20; // a training on the same processors has the rest
const EXPECTING_MILLISECONDS = 100;
const IDLE_MILLISECONDS = 1500;
const SILENT_SECONDS = 1;
const ANSWERED_MILLISECONDS = 300;
const EXPECTING_FOR_MILLISECONDS = 120000; // unless its answer comes first
const STARTED = "studio-started";
const STATES = {
  running: "Training",
  finished: "Finished",
  stopped: "Stopped",
  failed: "Failed",
  interrupted: "Interrupted",
};

const INTERRUPTED = "Its process ended without a word: a crash, say, or the machine was switched off.";

let expectedUntil = 0;
let status = null;
let misses = 0; // looks in a row at which the chosen run was not there
let shownState = ""; // of the run that is watched, or "starting"
let standing = { run: "" }; // of the run that is seen
let explorable = []; // the names of the runs that have a model
const standingListeners = [];
let isStopAsked = false; // while the training starts
let training = null; // the run that is trained, by whomever
let stopQuestion = null; // aborts the question whether to stop it
let isStarting = false; // one that was asked for in this window
let starting = ""; // its name, as far as it was given
let notice = ""; // what stands below the buttons, instead of a problem that is over
let showNotice = () => {};
let isLookDue = false; // without a pause
let endPause = () => {};
const lookers = []; // who waits for the next look to be over

export function mount(element, trigger) {
  const parts = partsOf(element);
  showNotice = () => trigger("change");
  const watched = { run: null, offset: 0, generation: 0, created: "", state: null, say: sayer(element) };
  status = parts;
  watchTimeline(parts);
  onOverlaid(() => wake());
  onRuns((names) => (explorable = names));
  onChosen(({ isFollowed }) => {
    if (isFollowed) watched.run = null; // where an address names none, the server is not to go on with the last one
    wake();
  });
  parts.explore.addEventListener("click", () => exploreModel(standing.run));
  // Another name is written: what was said of the last is over. (Gradio's own event tells of typed letters only.)
  document.addEventListener("input", ({ target }) => {
    if (target.closest("#run-name") && document.querySelector("#training-problem [data-field=name]")) forgetProblem();
  });
  plotly().catch(() => {});
  const loop = async () => {
    for (;;) {
      const started = performance.now();
      const waiting = lookers.splice(0); // who comes while it looks, waits for the next
      isLookDue = false;
      if (isShown(element)) await look(parts, watched).catch((error) => showProblem(parts, error));
      for (const looker of waiting) looker();
      await pause(nextPause(watched, performance.now() - started));
    }
  };
  new IntersectionObserver(() => wake()).observe(element);
  loop();
}

/**
 * Button "Resume": names the run that this visitor watches, for the server, and the epochs to end with; no run
 * if a finished one is to stay as it is.
 */
export async function resuming(_, epochs) {
  if (standing.run === "") await nextLook();
  const { run, state, epoch, isShipped, isCycle } = standing;
  const isMore = state === "finished" && !isShipped && epochs > epoch;
  if (isMore) {
    const done = `It has finished its ${epoch} ${epoch === 1 ? "epoch" : "epochs"}. Epochs under Advanced says ${epochs}.`;
    const warning = isCycle ? ` Its learning rate has come down to zero. In one cycle over ${epochs} epochs it stands higher again, and the loss will rise before it falls.` : "";
    const isAgreed = await agreed({ title: `Train ${run} on to ${epochs} epochs?`, words: done + warning, yes: "Train on" });
    if (!isAgreed) return [null, epochs];
  }
  expectStart(run);
  choose(run);
  return [run, epochs];
}

/** Calls the listener when another run is watched, or this one begins to train or ends. */
export function onStanding(listener) {
  standingListeners.push(listener);
}

/**
 * Button "Stop": names the run that is trained, for the server, or "" where one is only starting, which is stopped as
 * soon as it can be; no run if none is to be stopped: who stops another's is asked first.
 */
export async function stopping() {
  if (training === null && !isStarting) await nextLook(); // it may not have been seen yet
  const run = training;
  const isAnothers = run && run !== kept(STARTED) && shownState !== "starting";
  if (isAnothers) {
    const words = "It was not started in this window, and ends for everyone who uses this app.";
    stopQuestion = new AbortController();
    const isAgreed = await agreed({ title: `Stop ${run}?`, words, yes: "Stop it", isLoss: true, over: stopQuestion.signal });
    stopQuestion = null;
    if (!isAgreed || training !== run) { // nor is the next one meant, if this has ended meanwhile
      forgetProblem(training === run ? "" : `${run} has ended already.`);
      return [null];
    }
  }
  isStopAsked = true;
  if (shownState === "starting") sayStarting(status);
  return [run ?? ""];
}

function nextLook() {
  const seen = new Promise((resolve) => lookers.push(resolve));
  wake();
  return seen;
}

/** For Gradio: what stands below the buttons when a problem there is over. */
export const noticeOfNow = () => [notice];

/**
 * What stands below the buttons is over. Not to be called by these three, whose own answer replaces what stands there
 * and may come first; only that of a Stop that is not meant leaves it alone.
 */
export function forgetProblem(words = "") {
  notice = words && `<p role="status" class="muted">${words}</p>`;
  showNotice();
}

/** The name of the run that is seen, or "". */
export const watchedRun = () => standing.run;

/** Scrolls to the run that is seen: at once, as what is laid out anew meanwhile would break a smooth scroll off. */
export function bringToSight(block = "center") {
  document.getElementById("training-status")?.scrollIntoView({ block });
}

/** Watches the run of this name; "" lets the server choose, the running one first. */
export function watchRun(name) {
  choose(name);
  forgetProblem();
  wake();
}

/** A run is deleted: nothing is said or offered of it any more, and the server is asked which there are. */
export function forgetRun(name) {
  watchInstead(name, "");
  if (standing.run === name) {
    standing = { run: "" };
    setText(status.state, "Deleted");
    status.explore.hidden = true;
  }
  wake();
}

/** Whoever watches the run of this name watches the other from now on. */
export function watchInstead(name, other) {
  if (chosenRun() === name) watchRun(other);
}

/** A start is on its way, of a run of this name if it has one: look more often until it is there. */
export function expectStart(name) {
  starting = name ?? "";
  choose("");
  isStopAsked = false;
  isStarting = training === null;
  if (status && shownState !== "running") sayStarting(status);
  expectedUntil = performance.now() + EXPECTING_FOR_MILLISECONDS;
  wake();
}

function showState(parts, state) {
  shownState = parts.dot.dataset.state = state;
}

/** Until the new run is there nothing is said of any: the last one that was watched is not starting. */
function sayStarting(parts) {
  showState(parts, "starting");
  document.body.dataset.training = true;
  document.body.dataset.starting = "";
  for (const one of [parts.explore, parts.error, parts.warning]) one.hidden = true;
  setText(parts.state, isStopAsked ? "Stopping, as soon as it has started…" : "Starting…");
  setText(parts.what, starting);
  setText(parts.title, "Training loss");
  for (const one of ["epoch", "loss", "test", "elapsed", "remaining", "speed"]) setText(parts[one], "–");
  setText(parts.comparable, "");
  parts.progress.value = 0;
}

function nextPause(watched, took) {
  if (watched.state === "running") {
    return Math.max(RUNNING_MILLISECONDS, Math.min(RESTS_TO_A_LOOK * took, RUNNING_AT_MOST_MILLISECONDS));
  }
  return performance.now() < expectedUntil ? EXPECTING_MILLISECONDS : IDLE_MILLISECONDS;
}

/** Until the next look is due, by the clock or as something has happened, if only during the last one. */
async function pause(milliseconds) {
  if (isLookDue) return;
  await new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    endPause = () => {
      clearTimeout(timer);
      resolve();
    };
  });
}

function wake() {
  isLookDue = true;
  endPause();
}

async function look(parts, watched) {
  const { run, offset, generation, created } = watched;
  const asked = chosenRun();
  const news = await ask(address("training", { known: run ?? "", offset, generation, created, watch: asked }));
  if (asked !== chosenRun()) return; // another look is due already
  if (news.run === null) {
    setText(parts.state, "No training yet");
    return;
  }
  if (news.state === "running") expectedUntil = 0;
  if (isStarting && news.training) {
    keep(STARTED, news.training);
    bringToSight(document.querySelector("#advanced > .open") ? "start" : "nearest"); // that stands above it
  }
  isStarting &&= !news.training;
  if (training && !news.training && document.querySelector("#training-problem [data-until=end]")) {
    forgetProblem("That training has ended: you can start or resume now.");
  }
  if (training !== news.training) stopQuestion?.abort();
  training = news.training;
  misses = asked && news.run !== asked ? misses + 1 : 0;
  if (misses > 1) giveUpChosen(news.run); // not at once: it may just be renamed from here
  if (news.fresh) watched.say(news);
  if (news.fresh) Object.assign(watched, { run: news.run, last: null, test: null, speed: null });
  watched.offset = news.offset;
  watched.generation = news.generation;
  watched.created = news.created;
  watched.state = news.state;
  watched.last = news.last ?? watched.last;
  if (news.last || news.state !== "running") watched.heard = performance.now();
  watched.speed = smoothed(watched.speed, news.last?.images_per_second);
  const before = standing;
  standing = { run: news.run, state: news.state, epoch: epochOf(news, watched.last), isShipped: news.shipped, isCycle: news.schedule === "one-cycle" };
  if (before.run !== standing.run || before.state !== standing.state) standingListeners.forEach((listener) => listener());
  watched.test = news.tests.at(-1)?.[1] ?? watched.test ?? news.test_total;
  showStatus(parts, news, watched);
  try {
    await showCurve(parts.plot, news);
    showPreviews(parts, news);
    showLatents(parts, news);
    await showErrors(parts.errors, news);
  } catch (error) {
    watched.run = null; // what could not be shown comes again with the whole curve
    throw error;
  }
  // However long it runs, the screen holds no more: the whole curve is fetched again, thinned.
  if (isFull()) watched.run = null;
}

/** The start has been answered: it is running, or the problem stands below the buttons. */
export function startAnswered() {
  expectedUntil = Math.min(expectedUntil, performance.now() + ANSWERED_MILLISECONDS);
  const isRefused = () => document.querySelector("#training-problem :is([role=alert], [data-refused])") !== null;
  setTimeout(() => (isStarting &&= !isRefused()), ANSWERED_MILLISECONDS); // else the next training, of anybody, were ours
}

/** The start has been refused, and why is told elsewhere: nothing is expected any more. */
export function startRefused() {
  expectedUntil = 0;
  isStarting = false;
  wake();
}

function smoothed(before, now) {
  if (!now) return before;
  return before ? 0.85 * before + 0.15 * now : now;
}

function showStatus(parts, news, watched) {
  if (performance.now() < expectedUntil && news.state !== "running") {
    sayStarting(parts);
    return;
  }
  const { last, test, speed } = watched;
  const epoch = epochOf(news, last);
  const silent = isMeasuring(news, watched) ? (performance.now() - watched.heard) / 1000 : 0;
  showState(parts, news.state);
  document.body.dataset.training = news.training !== null;
  delete document.body.dataset.starting;
  document.body.dataset.shipped = news.shipped;
  parts.explore.hidden = !explorable.includes(news.run) || !shownTabs().includes("explore");
  setText(parts.state, stateInWords(news, silent > 0));
  setText(parts.what, [news.run, changesInWords(news.changes), news.device, news.data].filter(Boolean).join(" · "));
  setText(parts.epoch, `${epoch} / ${news.epochs}`);
  setText(parts.loss, last ? last.total.toFixed(2) : "–");
  setText(parts.test, test ? test.toFixed(2) : "–");
  setText(parts.comparable, comparableInWords(news));
  setText(parts.elapsed, last ? clock(last.elapsed_seconds + silent) : "–");
  const isRunning = last && news.state === "running" && !silent;
  setText(parts.remaining, isRunning ? clock(remaining(news, last, speed)) : "–");
  setText(parts.speed, speed && news.state === "running" ? Math.round(speed).toLocaleString("en") : "–");
  parts.progress.value = last && news.iterations ? last.iteration / news.iterations : 0;
  parts.error.hidden = !news.error;
  setText(parts.error, sentence(news.error ?? ""));
  parts.note.hidden = !news.data_note;
  setText(parts.note, news.data_note ?? "");
  const warning = warningInWords(news);
  parts.warning.hidden = !warning;
  setText(parts.warning, warning);
  setText(parts.title, `Training loss, epoch ${epoch} of ${news.epochs}, ${clock(last?.elapsed_seconds ?? 0)}`);
}

/** In seconds: as until now, with the tests; in the first epoch, whose first steps are slow, as it goes now. */
function remaining({ iterations, batch_size: size }, { epoch, iteration, elapsed_seconds: elapsed }, speed) {
  return (iterations - iteration) * (epoch > 1 || !speed ? elapsed / iteration : size / speed);
}

/** The epoch that is trained, or else how many were finished. */
const epochOf = (news, last) => (news.state === "running" ? (last?.epoch ?? 0) : news.epoch);

/**
 * Whether the images of the epoch must be through by now, at the speed of the last report: from then until the
 * epoch's own report the test images are measured, which nothing tells of.
 */
function isMeasuring(news, { last, speed, heard }) {
  if (news.state !== "running" || !last || !speed) return false;
  const ofEpoch = news.iterations / news.epochs;
  const seconds = (performance.now() - heard) / 1000;
  return seconds > SILENT_SECONDS && (ofEpoch - (last.iteration % ofEpoch)) * news.batch_size < speed * seconds;
}

/** Where the loss of a run that has ended is of another kind than the reference's: what can be compared with that. */
function comparableInWords({ state, loss_kind: kind, test_unit_variance: atUnitVariance }) {
  return kind && state !== "running" && Number.isFinite(atUnitVariance) ? `${atUnitVariance.toFixed(2)} at unit variance` : "";
}

function warningInWords({ warning, state, epoch }) {
  if (warning || state !== "interrupted") return warning ?? "";
  return `${INTERRUPTED} ${epoch ? "Resume goes on from its last finished epoch." : "Resume begins it again."}`;
}

function stateInWords({ state, stopping, epoch }, measures) {
  if (measures) return stopping ? "Stopping, once the test images are measured…" : "Measuring on the test images…";
  if (stopping && epoch === 0) return "Stopping; as no epoch is finished, Resume will begin again…";
  return stopping ? "Stopping, writing everything…" : STATES[state];
}

function showProblem(parts, error) {
  parts.error.hidden = false;
  setText(parts.error, `${error.message}. A running training goes on.`);
}

/** The settings that are not the reference's. */
export const changesInWords = (changes) =>
  Object.entries(changes).map(([name, value]) => `${name[0].toLowerCase()}${name.slice(1)} ${value}`).join(", ");

function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const pad = (number) => String(number).padStart(2, "0");
  return `${pad(Math.floor(whole / 3600))}:${pad(Math.floor(whole / 60) % 60)}:${pad(whole % 60)}`;
}
