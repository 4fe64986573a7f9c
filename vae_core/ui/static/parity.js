// The table that compares the recipe with the MathWorks example; it is asked for when it is first opened.

import { address, ask, partsOf } from "./studio.js";

const HEADS = ["", "MathWorks example", "This app", ""];

export function mount(element) {
  const parts = partsOf(element);
  let isAsked = false;
  parts.panel.addEventListener("toggle", async () => {
    if (isAsked || !parts.panel.open) return;
    isAsked = true;
    parts.count.textContent = "checking…";
    try {
      show(parts, (await ask(address("parity"))).lines);
      parts.problem.hidden = true;
    } catch (error) {
      isAsked = false;
      parts.count.textContent = "";
      parts.problem.textContent = error.message;
      parts.problem.hidden = false;
    }
  });
}

function show(parts, lines) {
  const groups = new Map();
  for (const line of lines) groups.set(line.part, [...(groups.get(line.part) ?? []), line]);
  const agreeing = lines.filter((line) => line.agrees).length;
  parts.count.textContent = `${agreeing} of ${lines.length} lines agree`;
  parts.table.replaceChildren(headRow(), ...[...groups].map(([part, ofPart]) => groupOf(part, ofPart)));
}

function headRow() {
  const head = document.createElement("thead");
  head.append(rowOf(HEADS.map((words) => words ? cell("th", words, { scope: "col" }) : cell("td", ""))));
  return head;
}

function groupOf(part, lines) {
  const body = document.createElement("tbody");
  const title = cell("th", part[0].toUpperCase() + part.slice(1), { scope: "rowgroup", colSpan: HEADS.length });
  body.append(rowOf([title]));
  for (const line of lines) {
    const theirs = cell("td", line.mathworks, { className: line.mathworks === line.here ? "theirs same" : "theirs" });
    const verdict = cell("td", line.agrees ? "✓ agrees" : "≠ differs", { className: line.agrees ? "agrees" : "differs" });
    body.append(rowOf([cell("th", line.what, { scope: "row" }), theirs, hereOf(line), verdict]));
  }
  return body;
}

function hereOf(line) {
  const here = cell("td", line.here, { className: "ours" });
  if (line.note) here.append(Object.assign(document.createElement("small"), { textContent: line.note }));
  return here;
}

function rowOf(cells) {
  const row = document.createElement("tr");
  row.append(...cells);
  return row;
}

function cell(kind, words, properties = {}) {
  return Object.assign(document.createElement(kind), { textContent: words, ...properties });
}
