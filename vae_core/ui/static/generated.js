// Digits decoded from N(0, I), as one picture.

import { modelAddress, named, onModel } from "./studio.js";

let parts = null;
let wanted = { seed: 0, count: 64 };

export function mount(element) {
  parts = named(element);
  onModel(show);
}

/** Button "Generate". */
export function generate(seed, count) {
  wanted = { seed: Math.max(0, Math.round(seed ?? 0)), count: Math.max(1, Math.min(400, Math.round(count ?? 64))) };
  return show();
}

async function show() {
  if (parts === null) return;
  const { picture, download, about } = parts;
  picture.src = modelAddress("generated.png", wanted);
  download.href = modelAddress("generated.png", { ...wanted, scale: 4 });
  download.download = `generated-${wanted.count}-seed-${wanted.seed}.png`;
  picture.alt = `${wanted.count} generated digits, seed ${wanted.seed}`;
  await picture.decode().then(
    () => (about.textContent = `${wanted.count} digits, seed ${wanted.seed}`),
    () => (about.textContent = "The picture could not be made."),
  );
}
