// Light or dark, as the visitor wants it in this browser. Gradio takes it from the page's address when it begins.

const WANTED = "studio-theme";
const IN_ADDRESS = "__theme";
const isSystemDark = window.matchMedia("(prefers-color-scheme: dark)");

/** Has Gradio begin as the visitor wanted it, unless the address says something itself. */
export function beginAsWanted() {
  const wanted = remembered();
  const parameters = new URLSearchParams(location.search);
  if (wanted && !parameters.has(IN_ADDRESS)) write(wanted);
}

export function mount(element) {
  const choices = [...element.querySelectorAll("input")];
  document.querySelector(".gradio-container footer")?.append(element.firstElementChild); // where Gradio's own links are
  const said = new URLSearchParams(location.search).get(IN_ADDRESS) ?? "";
  for (const choice of choices) {
    choice.checked = choice.value === said;
    choice.addEventListener("change", () => {
      remember(choice.value);
      write(choice.value);
      show(choice.value);
    });
  }
}

function show(wanted) {
  document.body.classList.toggle("dark", wanted === "" ? isSystemDark.matches : wanted === "dark");
}

function write(wanted) {
  const url = new URL(location.href);
  if (wanted) url.searchParams.set(IN_ADDRESS, wanted);
  else url.searchParams.delete(IN_ADDRESS);
  history.replaceState(history.state, "", url);
}

function remember(wanted) {
  try {
    localStorage.setItem(WANTED, wanted);
  } catch {
    // then it is for this visit
  }
}

function remembered() {
  try {
    return localStorage.getItem(WANTED) ?? "";
  } catch {
    return "";
  }
}
