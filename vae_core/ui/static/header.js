// The header: the name, the place for problems that concern every tab, and the way out for who had to log in.

import { LOGGED_OUT, isShortcut, onProblem, partsOf, tellProblem } from "./studio.js";

export function mount(element) {
  const { alert, problem, close, logIn, logOut, who } = partsOf(element);
  who.textContent = window.gradio_config?.username ?? "";
  logOut.hidden = who.textContent === "";
  leaveListsByTab();
  walkTabsByArrows();
  onProblem((text) => {
    problem.textContent = text ?? "";
    alert.hidden = !text;
    const isLoggedOut = text === LOGGED_OUT;
    logIn.hidden = !isLoggedOut;
    logIn.href = location.href;
    close.hidden = isLoggedOut;
    logOut.hidden ||= isLoggedOut;
  });
  close.addEventListener("click", () => tellProblem(null));
  logOut.addEventListener("click", (event) => {
    event.preventDefault();
    // The log-in stands at the same address, so that whoever comes back is where they were.
    fetch(logOut.href).finally(() => location.reload());
  });
}

/**
 * As in every list of tabs, where the Tab key stops only at the open one, and what it opens is named after it; Gradio 6.31
 * stops at each, has no arrows, and names nothing.
 */
function walkTabsByArrows() {
  const stopAtOpenTab = () => {
    for (const tab of document.querySelectorAll('[role="tab"]')) {
      tab.tabIndex = tab.ariaSelected === "true" ? 0 : -1;
      document.getElementById(tab.getAttribute("aria-controls"))?.setAttribute("aria-labelledby", tab.id);
    }
  };
  stopAtOpenTab();
  const watched = { subtree: true, childList: true, attributeFilter: ["aria-selected"] };
  for (const list of document.querySelectorAll('[role="tablist"]')) new MutationObserver(() => requestAnimationFrame(stopAtOpenTab)).observe(list, watched);
  document.addEventListener("keydown", (event) => {
    if (!event.target.matches('[role="tab"]') || isShortcut(event)) return;
    const tabs = [...event.target.parentElement.children].filter((tab) => tab.offsetParent !== null);
    const at = tabs.indexOf(event.target);
    const places = { ArrowRight: (at + 1) % tabs.length, ArrowLeft: at - 1, Home: 0, End: -1 };
    if (!(event.key in places)) return;
    event.preventDefault();
    const tab = tabs.at(places[event.key]);
    tab.click();
    tab.focus();
  });
}

/** Gradio 6.31 opens a drop-down's list again at each key, Tab too, and it would stay when the focus has gone. */
function leaveListsByTab() {
  const isLeft = ({ key, target }) => key === "Tab" && target.matches('[role="combobox"]');
  document.addEventListener("keydown", (event) => isLeft(event) && event.stopPropagation(), { capture: true });
}
