// The errors of each class: a table whose names show the class's images, and a box plot.

import { draw } from "./plots.js";
import { Latest, ask, partsOf } from "./studio.js";
import { besideAddressed, onView, select, testedAddress } from "./tested.js";

export function mount(element) {
  const parts = partsOf(element);
  let current = null;
  const show = new Latest((facts) =>
    boxes(parts, facts).catch((error) => {
      if (facts === current) parts.title.textContent = error.message;
    }),
  );
  onView((facts) => {
    current = facts;
    const what = facts.noun === "digit" ? "digit" : "class";
    parts.title.textContent = `By ${what}`;
    parts.what.textContent = what;
    const means = facts.beside?.mean_errors;
    parts.besideMean.hidden = !means;
    parts.besideName.textContent = parts.besideName.title = facts.beside?.run ?? "";
    parts.besideBoxes.textContent = means ? ` Left of each two: ${facts.run}; right: ${facts.beside.run}.` : "";
    parts.rows.replaceChildren(...facts.classes.map((row, index) => rowOf(row, means?.[index])));
    show.submit(facts);
  });
}

async function boxes(parts, facts) {
  const figure = await ask(testedAddress("boxes", besideAddressed()));
  const isNamed = facts.classes.some(({ name }) => name.length > 3);
  await draw(
    parts.plot,
    figure.data,
    {
      ...figure.layout, height: isNamed ? 300 : 240, margin: { l: 52, r: 8, t: 8, b: isNamed ? 84 : 28 }, dragmode: false,
      xaxis: { ...figure.layout.xaxis, tickangle: isNamed ? -60 : 0 },
    },
    { displayModeBar: false },
  );
}

function rowOf({ label, name, images, mean, median, p95 }, meanBeside) {
  const row = document.createElement("tr");
  const head = document.createElement("th");
  head.scope = "row";
  const button = document.createElement("button");
  button.type = "button";
  button.className = "text-button";
  button.textContent = name;
  button.setAttribute("aria-label", `Show the test images of class ${name}, the worst first`);
  button.addEventListener("click", () => select({ label, order: "falling" }));
  head.append(button);
  const errors = [mean, ...(meanBeside === undefined ? [] : [meanBeside]), median, p95];
  const figures = [images.toLocaleString("en"), ...errors.map((value) => value.toFixed(4))];
  row.append(
    head,
    ...figures.map((text) => {
      const cell = document.createElement("td");
      cell.textContent = text;
      return cell;
    }),
  );
  return row;
}
