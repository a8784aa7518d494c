// Can the page read what it drew? Browsers that hide fingerprints answer with noise, and of noise there is no photo.

export const SCRAMBLED =
  "Your browser hides from this page what you draw; let the page read its canvas (the icon beside the address), then draw on.";

const INK = [40, 120, 200];
const HARMLESS = 8; // of 255, added by browsers that change pixels just a little

/** Is a picture that was drawn read as it is? Asked anew each time, for the visitor may allow it meanwhile. */
export function readsBack() {
  const paper = Object.assign(document.createElement("canvas"), { width: 16, height: 16 }).getContext("2d");
  paper.fillStyle = `rgb(${INK})`;
  paper.fillRect(0, 0, 16, 16);
  return paper.getImageData(0, 0, 16, 16).data.every((value, i) => i % 4 === 3 || Math.abs(value - INK[i % 4]) <= HARMLESS);
}
