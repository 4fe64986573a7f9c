// Gradio's loading sign counts its seconds at each frame, and goes on after it has left the page (6.31): a tenth of
// a processor for nothing, beside a training. It learns how to ask for a frame once, before the page is there; when
// the page is, that way leads to one a second. Whoever asks the window, or learns it later, gets frames as ever.
{
  const ask = window.requestAnimationFrame;
  window.requestAnimationFrame = (callback) => {
    if (window.requestAnimationFrame === ask) return setTimeout(() => callback(performance.now()), 1000);
    if (document.querySelector(".part")) window.requestAnimationFrame = ask;
    return ask(callback);
  };
}
