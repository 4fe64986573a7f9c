// The one latent vector of the whole app. Whoever changes it calls setVector; whoever shows it listens.

import { onModel } from "./studio.js";

const listeners = [];
let z = [];

onModel((card) => {
  if (card.latent_dim !== z.length) setVector(new Array(card.latent_dim).fill(0));
  else setVector(z);
});

export const vector = () => z;

export function setVector(values) {
  z = [...values];
  for (const listener of listeners) listener(z);
}

export function onVector(listener) {
  listeners.push(listener);
  if (z.length) listener(z);
}

/** A number from N(0, 1), by Box and Muller. */
export function normal() {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}
