// Which classes are turned into which others: how often each class's reconstructions are read as each class.

import { Again, Latest, isShortcut, partsOf, untilReady, whenShown } from "./studio.js";
import { images, NOT_HERE, onView, select, showProgress, testedAddress } from "./tested.js";

const FLATTERED = "The classes were learned from these very images, and with so few that flatters: compare with nothing that was read otherwise. ";

export function mount(element) {
  const parts = partsOf(element);
  let facts = null;
  const complain = (error) => {
    showProgress(parts, null);
    parts.about.textContent = error.message;
    parts.panel.classList.add("message"); // it is no longer than that
  };
  const show = new Latest(() => retry.see(load(parts, () => facts), complain));
  const due = whenShown(element, () => show.submit());
  const retry = new Again(due);
  onView((news) => {
    facts = news;
    parts.table.replaceChildren();
    parts.about.textContent = "";
    parts.panel.classList.remove("message");
    due();
  });
  parts.table.addEventListener("keydown", (event) => move(parts.table, event));
  parts.table.addEventListener("focusin", (event) => rove(parts.table, event.target));
}

async function load(parts, current) {
  const facts = current();
  const available = await images();
  if (available.missing) throw Object.assign(new Error(NOT_HERE), { isFinal: true });
  const isCurrent = () => facts === current();
  const answer = await untilReady(testedAddress("turned"), (share) => showProgress(parts, share), isCurrent);
  showProgress(parts, null);
  if (answer === null) return;
  const share = (count) => `${count.toLocaleString("en")} (${((100 * count) / answer.images).toFixed(1)}%)`;
  parts.about.textContent =
    `${facts.beside ? `By ${facts.run} alone. ` : ""}Each reconstruction is encoded again and read as the class it most probably belongs to. ` +
    `${share(answer.turned)} of ${answer.images.toLocaleString("en")} reconstructions are read as another class; ` +
    `of the originals themselves ${share(answer.before)} are. ${answer.is_flattered ? FLATTERED : ""}Rows: what it is. Columns: what it is read as. The fuller the colour, the more of its row's mistakes.`;
  parts.table.classList.toggle("named", answer.names.some((name) => name.length > 2));
  parts.table.replaceChildren(head(answer.names), ...answer.table.map((row, label) => rowOf(row, label, answer.names)));
  rove(parts.table, parts.table.querySelector("button"));
}

/** Of all cells one is a stop of the Tab key: that which had the focus last. */
function rove(table, stop) {
  for (const button of table.querySelectorAll("button")) button.tabIndex = button === stop ? 0 : -1;
}

function head(names) {
  const row = document.createElement("tr");
  const corner = document.createElement("td");
  row.append(corner, ...names.map((name) => headCell(name, "col")));
  return row;
}

function headCell(name, scope) {
  const cell = document.createElement("th");
  cell.scope = scope;
  const words = document.createElement("span"); // long names of columns stand upright
  words.textContent = name;
  cell.append(words);
  return cell;
}

function rowOf(counts, label, names) {
  const row = document.createElement("tr");
  const most = Math.max(1, ...counts.filter((_, other) => other !== label));
  row.append(headCell(names[label], "row"), ...counts.map((count, readAs) => cellOf(count, label, readAs, names, most)));
  return row;
}

function cellOf(count, label, readAs, names, most) {
  const cell = document.createElement("td");
  if (count === 0) return cell;
  const button = document.createElement("button");
  button.type = "button";
  button.tabIndex = -1;
  button.textContent = count;
  button.setAttribute("aria-label", `${count} of class ${names[label]} read as ${names[readAs]}`);
  if (label === readAs) cell.className = "kept";
  else cell.style.setProperty("--share", `${Math.round((65 * count) / most) + 5}%`);
  button.addEventListener("click", () => select({ label, read_as: readAs, order: "falling" }));
  cell.append(button);
  return cell;
}

/** The arrow keys move among the cells that have a number. */
function move(table, event) {
  const cell = document.activeElement.closest?.("td");
  const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
  if (!cell || !step || isShortcut(event)) return;
  event.preventDefault();
  let [row, column] = [cell.parentElement.rowIndex, cell.cellIndex];
  for (;;) {
    [row, column] = [row + step[0], column + step[1]];
    const next = table.rows[row]?.cells[column];
    if (!next) return;
    const button = next.querySelector("button");
    if (!button) continue;
    button.focus();
    return;
  }
}
