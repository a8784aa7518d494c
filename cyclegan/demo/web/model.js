// The model that the page's menu chooses: its tools, and the drawing's photo by it.

import { finder } from "./elements.js";

/**
 * `traits`: those of the first model, { colours, critics }. The menu says which one is chosen:
 * new CustomEvent("choose-model", { detail: name }).
 */
export function followModel(element, traits, drawn, photo, extras) {
  const { find } = finder(element);

  /** Tools that the model knows nothing of are hidden. */
  function offer({ colours, critics }) {
    if (find(".colours")) find(".colours").hidden = !colours;
    if (find(".judge")) find(".judge").hidden = !critics;
    if (!colours) drawn.takeBlack();
  }

  async function onChoice({ detail: name }) {
    if (!element.isConnected) return document.removeEventListener("choose-model", onChoice);
    if (name === photo.model()) return;
    extras.clear();
    photo.follow(name);
    const answer = await photo.ask("traits", name);
    if (answer?.colours !== undefined && name === photo.model()) offer(answer);
  }
  document.addEventListener("choose-model", onChoice);
  offer(traits);
}
