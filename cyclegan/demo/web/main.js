// The Draw tab: the canvas, the photo that follows it, and what else is made of both.

import { createCanvas } from "./canvas.js";
import { createExtras } from "./extras.js";
import { followModel } from "./model.js";
import { createPhoto } from "./photo.js";
import { setUpToolbars } from "./toolbars.js";

/** `element`: the mounted component; `props`: what draw.py passed; `server`: its functions. */
export function mount(element, props, server) {
  const drawn = createCanvas(element, props.examples, {
    onChange: () => photo.request(),
    onAnother: () => extras.clear(),
    onTrouble: (sentence) => photo.showMessage(sentence),
  });
  const photo = createPhoto(element, server, drawn);
  const extras = createExtras(element, drawn, photo);
  followModel(element, props.traits, drawn, photo, extras);
  setUpToolbars(element);
  return drawn.start();
}
