// What latency.py does in the page: each function answers with the milliseconds of each event.
({
  /** From a slider's event to the frame in which the digit is painted. */
  async slider(events) {
    const input = document.querySelector(".latent input");
    const picture = document.querySelector("#decoded-digit img");
    const times = [];
    for (let event = 0; event < events; event++) {
      const painted = new Promise((done) => {
        picture.addEventListener("load", () => requestAnimationFrame(done), { once: true });
      });
      const start = performance.now();
      input.value = (Math.random() * 6 - 3).toFixed(2);
      input.dispatchEvent(new Event("input"));
      await painted;
      times.push(performance.now() - start);
      await new Promise((done) => setTimeout(done, 20));
    }
    return times;
  },

  /** From a move of the pen to the frame in which the new reconstruction is painted. */
  async stroke(events) {
    const canvas = document.querySelector("#sketch canvas");
    const made = document.querySelector("#reconstruction img");
    const box = canvas.getBoundingClientRect();
    canvas.setPointerCapture = () => {}; // there is no real pointer to capture
    const touch = (kind, at) => {
      const [x, y] = [0.3 + 0.4 * Math.abs(Math.sin(at)), 0.2 + 0.6 * ((at / 9) % 1)];
      const place = { clientX: box.left + box.width * x, clientY: box.top + box.height * y };
      canvas.dispatchEvent(new PointerEvent(kind, { pointerId: 1, bubbles: true, button: 0, ...place }));
    };
    touch("pointerdown", 0);
    const times = [];
    for (let event = 1; event <= events; event++) {
      await new Promise((done) => setTimeout(done, 60));
      const answered = new Promise((done) => {
        const look = new MutationObserver(() => {
          look.disconnect();
          requestAnimationFrame(done);
        });
        look.observe(made, { attributeFilter: ["src"] });
      });
      const start = performance.now();
      touch("pointermove", 0.35 * event);
      await answered;
      times.push(performance.now() - start);
    }
    touch("pointerup", 0);
    return times;
  },
})
