// The decoded digit: follows the vector as fast as the server answers, and never queues.

import { onVector } from "./latent.js";
import { Latest, modelAddress, named, tellProblem } from "./studio.js";

export function mount(element) {
  const { picture } = named(element);
  const show = new Latest(async (z) => {
    picture.src = modelAddress("decode.png", { z: z.map((value) => +value.toFixed(3)).join() });
    await picture.decode().then(
      () => tellProblem(null),
      () => tellProblem("The digit could not be decoded: the app does not answer, or the model is gone."),
    );
  });
  onVector((z) => show.submit(z));
}
