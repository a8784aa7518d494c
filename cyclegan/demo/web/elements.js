// Small helpers around the page's elements.

/** Functions that look for elements below `root`. */
export const finder = (root) => ({
  find: (selector) => root.querySelector(selector),
  findAll: (selector) => [...root.querySelectorAll(selector)],
});

export const press = (button, on) => button.setAttribute("aria-pressed", on);
export const isPressed = (button) => button?.getAttribute("aria-pressed") === "true";

/** For a button that does nothing now, but may be the one in use: it keeps the focus. */
export const disable = (button, on) => button.setAttribute("aria-disabled", on);
