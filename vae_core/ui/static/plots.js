// Plotly from our own server, loaded when the first plot is needed, in the page's colours.

import { coloured, onTheme, worth } from "./colours.js";
import { address, isShown } from "./studio.js";

const STYLES = ["line", "marker", "fillcolor"];
/** The last two would send the plot to Plotly's cloud, by its names in Plotly 7 and before. */
const UNWANTED_BUTTONS = ["select2d", "lasso2d", "sendChartToCloud", "sendDataToCloud"];
let library = null;
const shown = new Set();

/** The Plotly library, loaded once; where that fails, whoever asks next tries again. */
export function plotly() {
  library ??= new Promise((resolve, reject) => {
    forgetBase();
    const script = document.createElement("script");
    script.src = address("plotly.min.js");
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      library = null;
      script.remove();
      reject(new Error("The plotting library could not be loaded"));
    };
    document.head.append(script);
  });
  return library;
}

/**
 * Where a page has a <base>, Plotly names what cuts off its curves by the page's whole address of that moment, and
 * nothing is cut off any more once the address changes. Gradio's says what is so without it.
 */
function forgetBase() {
  document.querySelector('base[href="./"]')?.remove();
}

/**
 * Draws a figure into an element, or anew with other content, and keeps it in the page's colours: a colour of
 * a trace may be a var(...) of studio.css.
 */
export async function draw(element, data, layout, options = {}) {
  const Plotly = await plotly();
  element.style.height = `${layout.height}px`;
  const config = { displaylogo: false, plotlyServerURL: "", modeBarButtonsToRemove: UNWANTED_BUTTONS, ...options };
  await Plotly.react(element, data.map(painted), merged(layout, colours()), config);
  // An element is described by its own label, and not by each line that Plotly draws.
  for (const drawing of element.querySelectorAll(".main-svg")) drawing.ariaHidden = "true";
  if (!shown.has(element)) new ResizeObserver(() => isShown(element) && Plotly.Plots.resize(element)).observe(element);
  shown.add(element);
}

/** A trace in the colours of now, which keeps the names of its colours: the page may go from light to dark. */
function painted(trace) {
  const style = trace.style ?? Object.fromEntries(STYLES.filter((key) => key in trace).map((key) => [key, trace[key]]));
  return { ...trace, ...coloured(style), style };
}

function colours() {
  const [text, muted, line] = ["--body-text-color", "--body-text-color-subdued", "--border-color-primary"].map(worth);
  const axis = { gridcolor: line, linecolor: line, zerolinecolor: line, tickcolor: line, tickfont: { color: muted } };
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: text, family: worth("--font") },
    hoverlabel: { bgcolor: worth("--block-background-fill"), bordercolor: line, font: { color: text } },
    xaxis: axis,
    yaxis: axis,
    modebar: { bgcolor: "rgba(0,0,0,0)", color: muted, activecolor: text },
  };
}

function merged(base, over) {
  const result = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const isObject = value !== null && typeof value === "object" && !Array.isArray(value);
    result[key] = isObject ? merged(result[key] ?? {}, value) : value;
  }
  return result;
}

onTheme(() => {
  for (const element of shown) {
    if (element.layout) window.Plotly.react(element, element.data.map(painted), merged(element.layout, colours()));
  }
});
