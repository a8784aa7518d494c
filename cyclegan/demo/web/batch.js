// A button that gives way to another (Translate all, Stop) leaves the focus to it, not to the page.
// Gradio runs this file as the body of a function when the component (element) is mounted.

const row = element.closest(".batch").querySelector(".below");
let focused = null; // the button of the row that has the focus, or had it as it went

row.addEventListener("focusin", ({ target }) => (focused = target));
row.addEventListener("focusout", ({ target }) => setTimeout(() => target.isConnected && (focused = null)));

new MutationObserver(() => {
  if (focused && !focused.isConnected) row.querySelector("button")?.focus({ preventScroll: true });
}).observe(row, { childList: true, subtree: true });
