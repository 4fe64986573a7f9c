// A picture made of tiles, each of which is a button: for pointer, finger and keyboard alike.

import { isShortcut } from "./studio.js";

const TILE = 28;
const GAP = 2; // pixels of the picture between tiles: the GAP of vae_core/pictures.py

/**
 * Lays buttons over a picture of tiles.
 * element: a positioned box that holds the <img>;
 * words(index): what a tile is, for those who hear the page; choose(index): what happens when it is chosen.
 */
export class Tiles {
  #element;
  #settings;
  #count = 0;
  #columns = 0;

  constructor(element, settings) {
    this.#element = element;
    this.#settings = settings;
    element.addEventListener("keydown", (event) => this.#move(event));
  }

  get #buttons() {
    return [...this.#element.querySelectorAll(":scope > button")];
  }

  /** Fits the buttons to a picture of so many tiles in so many columns. */
  lay(count, columns) {
    if (count === this.#count && columns === this.#columns) return;
    [this.#count, this.#columns] = [count, columns];
    for (const button of this.#buttons) button.remove();
    const rows = Math.ceil(count / columns);
    const [width, height] = [columns * (TILE + GAP) - GAP, rows * (TILE + GAP) - GAP];
    this.#element.style.aspectRatio = `${width} / ${height}`;
    for (let index = 0; index < count; index += 1) {
      const [row, column] = [Math.floor(index / columns), index % columns];
      const button = document.createElement("button");
      button.type = "button";
      button.tabIndex = index === 0 ? 0 : -1;
      button.style.left = `${(100 * column * (TILE + GAP)) / width}%`;
      button.style.top = `${(100 * row * (TILE + GAP)) / height}%`;
      button.style.width = `${(100 * TILE) / width}%`;
      button.style.height = `${(100 * TILE) / height}%`;
      button.addEventListener("click", () => this.#settings.choose(index));
      button.addEventListener("focus", () => this.#rove(index));
      this.#element.append(button);
    }
    this.name();
  }

  /** Names the tiles anew. */
  name() {
    this.#buttons.forEach((button, index) => {
      button.setAttribute("aria-label", this.#settings.words(index));
    });
  }

  /** Marks one tile, or none. */
  mark(index) {
    this.#buttons.forEach((button, at) => button.setAttribute("aria-pressed", at === index));
  }

  #rove(index) {
    this.#buttons.forEach((button, at) => {
      button.tabIndex = at === index ? 0 : -1;
    });
  }

  #move(event) {
    const buttons = this.#buttons;
    const at = buttons.indexOf(document.activeElement);
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.#columns, ArrowUp: -this.#columns };
    const next = { Home: 0, End: buttons.length - 1 }[event.key] ?? at + (steps[event.key] ?? NaN);
    if (at < 0 || !buttons[next] || isShortcut(event)) return;
    event.preventDefault();
    buttons[next].focus();
  }
}
