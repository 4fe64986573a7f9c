// "Share, or make a lesson": ticks for tabs and parts, and the link that comes of them.

import { hiddenParts, PARTS, PRESETS, presetOfLesson, SERVERS, shownTabs, TABS } from "./lesson.js";
import { placeOfNow } from "./link.js";
import { firstModel, partsOf } from "./studio.js";

const LOOPBACK = ["127.0.0.1", "localhost", "[::1]"];

export function mount(element) {
  const { open, dialog, content } = partsOf(element);
  const form = content.content; // in the page only while it is open: nobody finds a second "Map" there
  const children = [...form.children];
  const parts = partsOf(form);
  const ticks = { tabs: {}, parts: {} };
  fill(parts, ticks);
  let ofAddress = (parts.preset.value = presetOfLesson());
  parts.local.hidden = !LOOPBACK.includes(location.hostname);
  open.addEventListener("click", async () => {
    await firstModel;
    if (dialog.open) return; // pressed again meanwhile
    parts.about.textContent = "";
    if (presetOfLesson() !== ofAddress) parts.preset.value = ofAddress = presetOfLesson(); // chosen since, in Train
    show(parts, ticks);
    dialog.append(...children);
    dialog.showModal();
  });
  dialog.addEventListener("close", () => dialog.replaceChildren());
  dialog.addEventListener("input", () => show(parts, ticks));
  parts.copy.addEventListener("click", async () => {
    parts.about.textContent = (await copied(parts.link)) ? "Copied." : "Copy the marked text by hand.";
  });
  parts.link.addEventListener("focus", () => {
    parts.link.select();
    requestAnimationFrame(() => (parts.link.scrollLeft = 0)); // its start is in sight
  });
}

/** Ticks as the page is now: a group for each tab, and one for what all tabs have. */
function fill(parts, ticks) {
  for (const [tab, title] of Object.entries({ ...TABS, "": "On all tabs" })) {
    const group = document.createElement("fieldset");
    const legend = document.createElement("legend");
    if (tab) legend.append((ticks.tabs[tab] = tick(title, shownTabs().includes(tab))).closest("label"));
    else legend.textContent = title;
    group.append(legend);
    for (const [name, part] of Object.entries(PARTS).filter(([, { tab: home }]) => home === tab)) {
      group.append((ticks.parts[name] = tick(part.words, !hiddenParts().includes(name))).closest("label"));
    }
    parts.choices.append(group);
  }
  for (const name of PRESETS) parts.preset.append(new Option(name, name));
}

function tick(words, isTicked) {
  const input = document.createElement("input");
  input.type = "checkbox";
  input.checked = isTicked;
  const label = document.createElement("label");
  label.append(input, ` ${words}`);
  return input;
}

/** The last tab cannot be unticked. */
function keepOneTab(tabs) {
  const left = Object.values(tabs).filter((input) => input.checked);
  for (const input of Object.values(tabs)) input.disabled = left.length === 1 && input.checked;
}

function show(parts, ticks) {
  keepOneTab(ticks.tabs);
  for (const [name, input] of Object.entries(ticks.parts)) {
    const home = PARTS[name].tab;
    input.disabled = home !== "" && !ticks.tabs[home].checked;
  }
  parts.preset.disabled = !ticks.tabs.train.checked;
  const lesson = lessonOf(parts, ticks);
  const place = parts.here.checked ? placeOfNow() : {};
  const opening = Object.keys(ticks.tabs).find((tab) => ticks.tabs[tab].checked); // the first opens by itself
  if (place.tab && (place.tab === opening || !ticks.tabs[place.tab].checked)) delete place.tab;
  const url = new URL(location.pathname, location.href);
  parts.link.value = withCommas(url, { ...lesson, ...place });
  parts.server.hidden = Object.keys(lesson).length === 0;
  const who = ticks.tabs.train.checked ? "--auth-file users.txt" : "--read-only"; // which forbids training
  parts.users.hidden = !ticks.tabs.train.checked;
  parts.host.textContent = `--host 0.0.0.0 ${who}`;
  parts.command.textContent = `python app.py --host 0.0.0.0 ${who} --lesson "${withCommas(null, { ...lesson, ...place })}"`;
}

/** What differs from the whole page, as parameters of an address. */
function lessonOf(parts, ticks) {
  const names = (inputs, wanted) => Object.keys(inputs).filter((name) => inputs[name].checked === wanted);
  const tabs = names(ticks.tabs, true);
  const hide = names(ticks.parts, false).filter((name) => !ticks.parts[name].disabled);
  const lesson = {};
  if (tabs.length < Object.keys(TABS).length || SERVERS.has("tabs")) lesson.tabs = tabs.join();
  if (hide.length || SERVERS.has("hide")) lesson.hide = hide.join();
  const preset = parts.preset.disabled ? "" : parts.preset.value;
  if (preset || SERVERS.has("preset")) lesson.preset = preset;
  return lesson;
}

function withCommas(url, parameters) {
  const search = new URLSearchParams(parameters).toString().replaceAll("%2C", ",");
  return url ? `${url.href}${search ? `?${search}` : ""}` : search;
}

/** Whether a text field's content is on the clipboard now; browsers give it to pages over https and localhost. */
async function copied(field) {
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    return true;
  } catch {
    return document.execCommand("copy");
  }
}
