// The Draw tab: the canvas, the photo that follows it, and what else is made of both.

import { createCanvas } from "./canvas.js";
import { createExtras } from "./extras.js";
import { createPhoto } from "./photo.js";
import { setUpToolbars } from "./toolbars.js";

/** `element`: the mounted component; `props`: what draw.py passed; `server`: its functions. */
export function mount(element, props, server) {
  let photo = null;
  const drawn = createCanvas(
    element,
    props.examples,
    () => photo.request(),
    (sentence) => photo.showMessage(sentence),
  );
  photo = createPhoto(element, server, drawn);
  createExtras(element, drawn, photo);
  setUpToolbars(element);
  return drawn.start();
}
