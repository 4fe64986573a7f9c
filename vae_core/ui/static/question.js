// A question before what cannot be undone, and one for a name: a dialog that also tells what was wrong with an
// answer, so that it can be mended.

import { partsOf } from "./studio.js";

const CONTENT = `
  <form data-is="form">
    <h2 id="question-title" data-is="heading"></h2>
    <p class="muted" data-is="words"></p>
    <label data-is="field"><span data-is="label"></span><input type="text" class="native" autocomplete="off" spellcheck="false" data-is="input"></label>
    <p class="alert" role="alert" data-is="problem" hidden></p>
    <p class="row-end"><button type="button" class="chip" data-is="no">Cancel</button><button type="submit" class="chip" data-is="go"></button></p>
  </form>`;

/**
 * Asks, and performs what is agreed to; where that fails, says why and asks on. Answers whether it was agreed to.
 *
 * title: the question; words: what follows from a yes; yes: the button that says it, of a loss if isLoss.
 * name: {label, value} of a text that is asked for; perform is given it. over: a signal that there is nothing to ask
 * any more, which is a no.
 */
export function agreed({ title, words = "", yes, isLoss = false, name = null, perform = () => {}, over = null }) {
  const dialog = document.createElement("dialog");
  dialog.className = "card question";
  dialog.setAttribute("aria-labelledby", "question-title");
  dialog.innerHTML = CONTENT;
  const parts = partsOf(dialog);
  const { input, problem, no, go } = parts;
  parts.heading.textContent = title;
  parts.words.textContent = words;
  go.textContent = yes;
  go.classList.toggle("danger", isLoss);
  parts.field.hidden = !name;
  if (name) {
    parts.label.textContent = name.label;
    input.value = name.value;
  }
  (name ? input : isLoss ? no : go).autofocus = true;
  document.querySelector(".gradio-container .contain").append(dialog); // only in there does studio.css hold
  dialog.showModal();
  if (name) input.select();
  let isAgreed = false;
  over?.addEventListener("abort", () => dialog.close());
  no.addEventListener("click", () => dialog.close());
  dialog.addEventListener("cancel", (event) => go.disabled && event.preventDefault()); // Escape: an answer is on its way
  parts.form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.hidden = true;
    no.disabled = go.disabled = true;
    try {
      await perform(input.value.trim());
      isAgreed = true;
      dialog.close();
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
    }
    no.disabled = go.disabled = false;
  });
  return new Promise((done) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      done(isAgreed);
    });
  });
}
