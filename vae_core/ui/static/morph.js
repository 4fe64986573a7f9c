// From one pinned digit to another along the arc between them.

import { foldOnPhones } from "./fold.js";
import { onVector, remember, setVector, slerp, vector } from "./latent.js";
import { EMPTY, Latest, isShown, modelAddress, onModel, partsOf, withoutScrolling, written } from "./studio.js";
import { className, worded } from "./words.js";

const PERIOD_MILLISECONDS = 4000;

export function mount(element) {
  const parts = partsOf(element);
  foldOnPhones(parts.fold);
  const pins = { A: null, B: null };
  let example = null; // the means of two classes, for whoever has pinned nothing yet
  let isPlaying = false;
  let isGoing = false;

  const between = () => slerp(pins.A, pins.B, Number(parts.at.value));
  const showBetween = new Latest(async (z) => {
    parts.picture.src = modelAddress("decode.png", { z: written(z) });
    await parts.picture.decode().catch(() => {}); // the large picture above says it
  });
  const go = (at) => {
    parts.at.value = at;
    isGoing = true;
    setVector(between(), null);
    isGoing = false;
    showBetween.submit(vector());
  };
  const stop = () => {
    isPlaying = false;
    parts.play.textContent = "Play";
  };
  const play = () => {
    isPlaying = true;
    parts.play.textContent = "Pause";
    const start = performance.now() - (Math.acos(1 - 2 * parts.at.value) / (2 * Math.PI)) * PERIOD_MILLISECONDS;
    const step = (now) => {
      if (!isPlaying || !isShown(element)) return stop();
      go((1 - Math.cos((2 * Math.PI * (now - start)) / PERIOD_MILLISECONDS)) / 2); // slow at both ends
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  };
  const show = () => {
    for (const name of ["A", "B"]) {
      const picture = parts[`picture${name}`];
      picture.src = pins[name] ? modelAddress("decode.png", { z: written(pins[name]) }) : EMPTY;
      parts[`pin${name}`].classList.toggle("pinned", Boolean(pins[name]));
      parts[`pin${name}`].querySelector("span").textContent = pins[name] ? `Pin ${name} again` : `Pin ${name}`;
      picture.alt = pins[name] ? worded(`Digit ${name}`) : "";
    }
    const isReady = Boolean(pins.A && pins.B);
    parts.way.hidden = parts.between.hidden = !isReady;
    parts.about.hidden = isReady;
    parts.offer.hidden = !example || Boolean(pins.A || pins.B);
    if (!isReady) return;
    showBetween.submit(between());
    parts.download.href = modelAddress("morph.gif", { a: written(pins.A), b: written(pins.B) });
    parts.download.download = "morph.gif";
  };
  for (const name of ["A", "B"]) {
    parts[`pin${name}`].addEventListener("click", () => {
      stop();
      pins[name] = [...vector()];
      parts.at.value = name === "A" ? 0 : 1;
      show();
    });
  }
  parts.example.addEventListener("click", () => {
    Object.assign(pins, example);
    parts.at.value = 0;
    show();
    parts.play.focus({ preventScroll: true }); // the button that had it is gone
    play();
  });
  withoutScrolling(parts.at, () => {
    const [putBack, at, wasPlaying] = [remember(), parts.at.value, isPlaying];
    return () => {
      parts.at.value = at;
      putBack();
      showBetween.submit(between());
      if (wasPlaying) play();
    };
  });
  parts.at.addEventListener("input", () => {
    stop();
    go(Number(parts.at.value));
  });
  onVector(() => isGoing || stop()); // whoever goes elsewhere means it
  parts.play.addEventListener("click", () => (isPlaying ? stop() : play()));
  onModel((card) => {
    for (const name of ["A", "B"]) if (pins[name]?.length !== card.latent_dim) pins[name] = null;
    const [first, second] = Object.entries(card.class_means);
    example = second ? { A: first[1], B: second[1] } : null;
    if (example) parts.example.textContent = `Try it: from ${className(first[0])} to ${className(second[0])}`;
    stop();
    show();
  });
}
