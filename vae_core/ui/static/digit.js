// The decoded digit: follows the vector as fast as the server answers, and never queues.

import { onVector } from "./latent.js";
import { Latest, modelAddress, named } from "./studio.js";

export function mount(element) {
  const { picture } = named(element);
  const show = new Latest(async (z) => {
    picture.src = modelAddress("decode.png", { z: z.map((value) => +value.toFixed(3)).join() });
    await picture.decode().catch(() => {});
  });
  onVector((z) => show.submit(z));
}
