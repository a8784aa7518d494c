// Toolbars for the keyboard: each is one tab stop, and arrow keys go from button to button (ARIA Authoring Practices).

const STEPS = { ArrowRight: 1, ArrowLeft: -1 };

/** Sets up the toolbars below `root`. A slider among the buttons stays a tab stop: the arrows are its own. */
export function setUpToolbars(root) {
  root.querySelectorAll('[role="toolbar"]').forEach((toolbar) => {
    const buttons = [...toolbar.querySelectorAll("button")];
    const stopAt = (one) => buttons.forEach((button) => (button.tabIndex = button === one ? 0 : -1));
    stopAt(buttons[0]);
    toolbar.addEventListener("focusin", ({ target }) => buttons.includes(target) && stopAt(target));
    toolbar.addEventListener("keydown", (event) => {
      const reachable = buttons.filter((button) => !button.disabled);
      const here = reachable.indexOf(event.target);
      const ends = { Home: 0, End: reachable.length - 1 };
      const next = ends[event.key] ?? here + STEPS[event.key];
      if (here < 0 || Number.isNaN(next)) return;
      event.preventDefault();
      reachable.at(next % reachable.length).focus();
    });
  });
}
