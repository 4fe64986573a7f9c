// The table of runs: watch, overlay, rename, delete, take along, bring in, train again.

import { compareWith, other } from "./compare.js";
import { overlay } from "./curve.js";
import { agreed } from "./question.js";
import { Latest, OURS, address, ask, chooseModel, isShown, model, partsOf, setText } from "./studio.js";
import { bringToSight, changesInWords, expectStart, forgetProblem, forgetRun, onStanding, startAnswered, startRefused, watchedRun, watchInstead, watchRun } from "./training.js";

const EVERY_MILLISECONDS = 3000;
const ORDERS = {
  made: (a, b) => Date.parse(b.created) - Date.parse(a.created),
  error: (a, b) => (a.test_mse ?? Infinity) - (b.test_mse ?? Infinity), // those without one are the last
  name: (a, b) => a.name.localeCompare(b.name, "en", { numeric: true }),
};
/** What a card calls the figures of run.json, in their order. */
const RESULTS = {
  total: "Test loss, nats", reconstruction: "Reconstruction, nats", kl: "KL, nats",
  total_unit_variance: "Test loss at unit variance, nats", iwae: "Importance-weighted bound, nats",
  iwae_unit_variance: "Bound at unit variance, nats", mse_mean: "Test error, mean", mse_median: "Test error, median",
  mse_p95: "Test error, 95th percentile", mse_mean_decoded: "Test error, decoded from the mean", active_units: "Active units",
  frechet_prior: "Fréchet distance, prior", frechet_mixture: "Fréchet distance, mixture",
  confident_prior: "Samples that can be read, prior", confident_mixture: "Samples that can be read, mixture",
  samples_note: "About the samples", images: "Test images",
};
const ticked = new Set();
let running = []; // names of the runs in training
let labels = {}; // what the page calls each setting
let hint = "";
let shownRuns = ""; // what the table was drawn from
let asked = 0; // questions for the runs, counted
let newestAnswered = 0;
let isOfTable = false; // the problem that is told, and not of what a visitor did

export function mount(element) {
  const parts = partsOf(element);
  hint = parts.hint.textContent;
  const looking = new Latest(() => refresh(parts)); // a slow server is not asked twice at once
  const showAnew = () => looking.submit();
  setInterval(() => isShown(element) && showAnew(), EVERY_MILLISECONDS);
  onStanding(showAnew); // so that the table says what the panel above it says
  new IntersectionObserver(() => isShown(element) && showAnew()).observe(element);
  parts.order.addEventListener("change", showAnew);
  parts.upload.addEventListener("change", () => attempt(parts, () => bringIn(parts.upload, parts.about)));
  parts.rows.addEventListener("click", (event) => act(parts, event));
  parts.rows.addEventListener("change", (event) => tick(parts, event.target));
  parts.card.addEventListener("click", (event) => actOnDetails(parts, event));
}

/** Draws the table anew, or says why it could not until it can. */
async function refresh(parts) {
  try {
    await show(parts);
    if (isOfTable) parts.problem.hidden = true;
  } catch (error) {
    complain(parts, error);
    isOfTable = true;
  }
}

async function show(parts) {
  const question = (asked += 1);
  const { runs, damaged, labels: ofSettings, read_only: readOnly } = await ask(address("runs"));
  if (question < newestAnswered) return; // it comes late, and may tell of what has been deleted since
  newestAnswered = question;
  labels = ofSettings;
  parts.bring.hidden = parts.card.classList.toggle("read-only", readOnly);
  parts.readOnly.hidden = !readOnly;
  parts.damaged.hidden = damaged.length === 0;
  parts.damaged.textContent = damaged.map((problem) => `Left out: ${problem}.`).join("\n");
  const ordered = runs.toSorted(ORDERS[parts.order.value]);
  const state = JSON.stringify(ordered);
  if (state !== shownRuns) drawAnew(parts.rows, ordered.map((run) => makeRow(run, !readOnly)));
  shownRuns = state;
  for (const row of parts.rows.children) row.ariaCurrent = row.dataset.run === watchedRun() ? "true" : null;
  await layOver(parts, runs);
}

/** What has the focus keeps it: with each epoch of a training the table changes. */
function drawAnew(rows, made) {
  const focused = rows.contains(document.activeElement) ? document.activeElement : null;
  const run = focused?.closest("tr").dataset.run;
  rows.replaceChildren(...made);
  if (focused) controlOf(rows, run, focused.dataset.act)?.focus({ preventScroll: true }); // who looks elsewhere is not called back
}

const controlOf = (rows, run, act) => rows.querySelector(`[data-run="${CSS.escape(run)}"] [data-act="${act}"]`);

/**
 * Lays the ticked runs over the watched one, as far as their losses are of the same kind, and says which are not. The
 * overlays of runs that are gone go too; those of runs in training grow, once more when they have ended.
 */
async function layOver(parts, runs) {
  const kinds = new Map(runs.map((run) => [run.name, run.loss_kind || "gaussian"]));
  for (const name of ticked) if (!kinds.has(name)) ticked.delete(name);
  const watched = watchedRun();
  const isOfOtherKind = (name) => kinds.has(watched) && kinds.get(name) !== kinds.get(watched);
  const apart = [...ticked].filter(isOfOtherKind).map((name) => `${name} (${kinds.get(name)})`);
  const not = `Not laid over ${watched} (${kinds.get(watched)}): ${apart.join(", ")}. Such losses cannot be compared in training; the test losses and errors in this table can.`;
  setText(parts.hint, apart.length ? not : hint);
  const before = running;
  running = runs.filter((run) => run.state === "running").map(({ name }) => name);
  await overlay([...ticked].filter((name) => !isOfOtherKind(name)), [...before, ...running]);
}

function makeRow(run, mayChange) {
  const row = document.createElement("tr");
  row.dataset.run = run.name;
  row.innerHTML = `
    <td><input type="checkbox" aria-label="Overlay" data-act="overlay"></td>
    <td><button class="text-button" data-act="watch"></button></td>
    <td><span class="dot"></span></td><td></td><td class="number"></td><td class="number test-loss"></td><td class="number"></td><td class="took"></td><td class="made"></td>
    <td class="actions">
      <button class="text-button" data-act="card">Card</button>
      <a class="link" data-act="zip" download>Zip</a>
      <button class="text-button" data-act="rename">Rename</button>
      <button class="text-button danger" data-act="delete">Delete</button>
    </td>`;
  const [tickCell, name, state, ...rest] = row.children;
  tickCell.firstChild.checked = ticked.has(run.name);
  tickCell.firstChild.setAttribute("aria-label", `Overlay ${run.name}`);
  name.firstChild.textContent = run.name;
  state.firstChild.dataset.state = run.state;
  state.append(run.state);
  const changes = changesInWords(run.changes);
  const [loss, ownLoss] = lossesOf(run);
  const texts = [
    [changes || "the reference recipe", run.data && run.data !== "MNIST" && `data ${run.data}`].filter(Boolean).join(" · "),
    `${run.epoch}/${run.epochs}`,
    loss,
    run.test_mse ? run.test_mse.toFixed(4) : "–",
    duration(run.seconds),
    moment(run.created),
  ];
  texts.forEach((text, index) => (rest[index].textContent = text));
  addSmall(row.querySelector(".test-loss"), ownLoss);
  addSmall(row.querySelector(".took"), run.device);
  row.querySelector("a").href = address(`runs/${encodeURIComponent(run.name)}/archive.zip`);
  const stays = run.shipped || run.state === "running" || !mayChange;
  for (const act of ["rename", "delete"]) row.querySelector(`[data-act=${act}]`).hidden = stays;
  return row;
}

/** The loss that can be compared with that of any run, in words, and beside it the run's own where that is another. */
function lossesOf({ test_total: own, test_unit_variance: atUnitVariance, loss_kind: kind }) {
  const inWords = (nats) => nats?.toFixed(2) ?? "–";
  if (!kind || !Number.isFinite(own)) return [inWords(own), ""];
  return [inWords(atUnitVariance), `${kind}: ${inWords(own)}`];
}

function addSmall(cell, words) {
  if (!words) return;
  const small = document.createElement("small");
  small.textContent = words;
  cell.append(" ", small);
}

async function act(parts, event) {
  const action = event.target.dataset.act;
  const run = event.target.closest("tr")?.dataset.run;
  const path = `runs/${encodeURIComponent(run)}`;
  if (action === "watch") {
    watchRun(run);
    bringToSight();
  }
  if (action === "card") attempt(parts, async () => openDetails(parts.card, await ask(address(`${path}/record.json`))));
  if (action === "rename") {
    let name = run;
    const perform = async (wanted) => wanted !== run && (name = await rename(run, `${path}/name`, wanted));
    await attempt(parts, () => agreed({ title: `Rename ${run}`, yes: "Rename", name: { label: "New name", value: run }, perform }));
    controlOf(parts.rows, name, action)?.focus(); // the row may be another one than when it was pressed
  }
  if (action === "delete") {
    const perform = () => remove(run, path);
    const words = "All its files are deleted. This cannot be undone.";
    const row = event.target.closest("tr");
    const neighbour = (row.nextElementSibling ?? row.previousElementSibling)?.dataset.run;
    await attempt(parts, () => agreed({ title: `Delete ${run}?`, words, yes: "Delete", isLoss: true, perform }));
    (controlOf(parts.rows, run, action) ?? controlOf(parts.rows, neighbour, "watch"))?.focus();
  }
}

async function remove(run, path) {
  await ask(address(path), { method: "DELETE", headers: OURS });
  forgetRun(run);
}

async function rename(run, path, to) {
  const renamed = await ask(address(path, { to }), { method: "POST", headers: OURS });
  if (ticked.delete(run)) ticked.add(renamed.run);
  watchInstead(run, renamed.run);
  if (model()?.run === run) await chooseModel(renamed.run);
  if (other()?.run === run) compareWith(renamed.run);
  return renamed.run;
}

function tick(parts, box) {
  const run = box.closest("tr").dataset.run;
  if (box.checked) ticked.add(run);
  else ticked.delete(run);
  attempt(parts, () => {}); // the table knows which can be laid over
}

async function bringIn(input, about) {
  const file = input.files[0];
  if (!file) return;
  input.value = ""; // so that the same file can be tried again
  const { run, twin } = await ask(address("archive"), { method: "POST", headers: OURS, body: file });
  about.textContent = twin ? `Loaded as ${run}: from the same training as ${twin}, which is here already.` : `Loaded as ${run}.`;
  watchRun(run);
}

function openDetails(dialog, card) {
  const { settings, results } = card;
  const learned = card.data.training_images;
  const groups = {
    "": {
      State: card.error ? `${card.state}: ${card.error}` : card.state,
      "Epochs done": card.epochs_done,
      Time: duration(card.elapsed_seconds),
      Data: [card.data.source, learned && `(${learned.toLocaleString("en")} to train)`].filter(Boolean).join(" "),
      Device: card.device,
      Made: moment(card.created),
      Versions: Object.entries(card.versions).map(([name, value]) => `${name} ${value}`).join(", "),
    },
    Settings: Object.fromEntries(Object.entries(settings).map(([name, value]) => [labels[name] ?? name, value ?? "all"])),
    Results: Object.fromEntries(Object.entries(RESULTS).filter(([name]) => ![undefined, null, ""].includes(results[name])).map(([name, words]) => [words, short(results[name])])),
  };
  dialog.innerHTML = `<h2 tabindex="-1" autofocus></h2>
    <p class="row-end"><button class="chip" data-act="again">Train again with these settings</button>
    <a class="chip" target="_blank">As JSON</a> <button class="chip" data-act="close">Close</button></p>`;
  dialog.querySelector("h2").textContent = card.name;
  for (const [title, rows] of Object.entries(groups)) dialog.lastChild.before(...groupOf(title, rows));
  dialog.querySelector("[data-act=again]").hidden = dialog.classList.contains("read-only");
  dialog.querySelector("a").href = address(`runs/${encodeURIComponent(card.name)}/record.json`);
  dialog.dataset.run = card.name;
  dialog.showModal();
}

/** Rows of a name and a value each, under a title if there are any and it says something. */
function groupOf(title, rows) {
  const [heading, list] = [document.createElement("h3"), document.createElement("dl")];
  heading.textContent = title;
  list.className = "pairs";
  for (const [name, value] of Object.entries(rows)) {
    const [term, text] = [document.createElement("dt"), document.createElement("dd")];
    term.textContent = name;
    text.textContent = value;
    list.append(term, text);
  }
  if (!list.children.length) return [];
  return title ? [heading, list] : [list];
}

/** In the visitor's own time, in the form 2026-11-27 08:15. */
function moment(created) {
  const at = new Date(created);
  if (Number.isNaN(at.getTime())) return created; // of another make
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16).replace("T", " ");
}

function actOnDetails(parts, event) {
  const { card } = parts;
  const action = event.target.dataset.act;
  if (action === "close" || event.target === card) card.close();
  if (action === "again") {
    card.close();
    forgetProblem();
    expectStart();
    const path = `runs/${encodeURIComponent(card.dataset.run)}/again`;
    attempt(parts, async () => {
      await ask(address(path), { method: "POST", headers: OURS }).catch((error) => {
        startRefused();
        throw error;
      });
      startAnswered();
      bringToSight();
    });
  }
}

/** Does something and shows what came of it: the table anew, or the problem. */
async function attempt(parts, action) {
  parts.problem.hidden = true;
  parts.about.textContent = "";
  try {
    await action();
  } catch (error) {
    complain(parts, error);
    return;
  }
  await refresh(parts);
}

function complain(parts, error) {
  isOfTable = false;
  parts.problem.textContent = error.message;
  parts.problem.hidden = false;
}

function short(value) {
  if (typeof value !== "number") return value;
  return Number.isInteger(value) ? value.toLocaleString("en") : value.toFixed(4);
}

function duration(seconds) {
  const minutes = Math.round(seconds / 60);
  return seconds < 90 ? `${Math.round(seconds)} s` : `${minutes} min`;
}
