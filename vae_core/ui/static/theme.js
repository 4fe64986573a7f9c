// Light or dark, as the visitor wants it in this browser. Gradio takes it from the page's address when it begins: there it
// is put from the page's head, and taken out again. To be there first, this imports nothing.

const WANTED = "studio-theme";
const IN_ADDRESS = "__theme";
const isSystemDark = window.matchMedia("(prefers-color-scheme: dark)");

/** What the address says of it: "light" or "dark", or "". */
const said = () => {
  const value = new URLSearchParams(location.search).get(IN_ADDRESS);
  return ["light", "dark"].includes(value) ? value : "";
};
const isOurs = !said() && remembered() !== "";
if (isOurs) write(remembered());

export function mount(element) {
  const choices = [...element.querySelectorAll("input")];
  document.querySelector(".gradio-container footer")?.append(element.firstElementChild); // where Gradio's own links are
  let wanted = said();
  if (isOurs) write(""); // Gradio has read it
  const show = () => document.body.classList.toggle("dark", wanted === "" ? isSystemDark.matches : wanted === "dark");
  show(); // Gradio may have begun before this was read
  isSystemDark.addEventListener("change", show);
  for (const choice of choices) {
    choice.checked = choice.value === wanted;
    choice.addEventListener("change", () => {
      wanted = choice.value;
      remember(wanted);
      write("");
      show();
    });
  }
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
