// Can the page read what a canvas shows? Browsers that hide fingerprints answer with noise. Drawing needs it nowhere, but
// pictures on the sheet and pictures to be saved go through a canvas.

export const SCRAMBLED =
  "Your browser hides pictures from this page; to put one on the sheet or to save one, let the page read its canvas (the icon beside the address).";

const INK = [40, 120, 200];
const HARMLESS = 8; // of 255, added by browsers that change pixels just a little

/** Is a picture that was drawn read as it is? Asked anew each time, for the visitor may allow it meanwhile. */
export function readsBack() {
  const paper = Object.assign(document.createElement("canvas"), { width: 16, height: 16 }).getContext("2d");
  paper.fillStyle = `rgb(${INK})`;
  paper.fillRect(0, 0, 16, 16);
  return paper.getImageData(0, 0, 16, 16).data.every((value, i) => i % 4 === 3 || Math.abs(value - INK[i % 4]) <= HARMLESS);
}
