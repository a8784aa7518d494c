// Strokes → ink: what a drawing is, and how it looks. Pure but for the pictures, which are decoded once.
//
// A drawing is a list of strokes, a stroke is
//   { colour, width, points: [[x, y, pressure = 1], ...] } in pixels of the 512 × 512 sheet,
//   { clear: true }, { image: data URL of a picture as large as the sheet }, { seed: of the colours, from here on }, or
//   { photo: data URL of the small photo whose colours the result takes from here on, null for none }.

export const SIDE = 512;
const [PHOTO_SIDE, MIN_SIDE] = [256, 16]; // pixels of such a photo: enough for its smoothed colours, and as the server asks
export const BLACK = "#000000";
export const WHITE = "#ffffff"; // the eraser's
const EMPTY = "#d6def0"; // marks what stays paper: drawing/empty.py
const COLOURFUL = 28; // difference between channels, of 255: what has less is a black or grey line

// A sheet has two layers: black lines lie over the colours, as in the drawings of the training, whatever came first.

export const newLayer = () =>
  Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE }).getContext("2d", { willReadFrequently: true });
export const newSheet = () => ({ lines: newLayer(), colours: newLayer() });
const hatching = hatched(8);
const pictures = new Map(); // the sheets of pictures, by their data URLs

const layersOf = ({ lines, colours }, one) => (one === WHITE ? [lines, colours] : [one === BLACK ? lines : colours]);
const midpoint = (a, b) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];

/** A tile of white paper with slanting lines in the colour of EMPTY. */
function hatched(side) {
  const tile = Object.assign(document.createElement("canvas"), { width: side, height: side });
  const paper = tile.getContext("2d");
  paper.fillStyle = WHITE;
  paper.fillRect(0, 0, side, side);
  paper.fillStyle = EMPTY;
  for (let y = 0; y < side; y += 1) for (let x = 0; x < side / 2; x += 1) paper.fillRect((x + y) % side, y, 1, 1);
  return tile;
}

/** Draws the part of a stroke that its point number i completes: a curve from midpoint to midpoint. */
export function inkPoint(onto, { points, width, colour }, i) {
  const [before, here] = [points[Math.max(i - 1, 0)], points[i]];
  for (const paper of layersOf(onto, colour)) {
    paper.globalCompositeOperation = colour === WHITE ? "destination-out" : "source-over";
    paper.strokeStyle = colour === EMPTY ? paper.createPattern(hatching, "repeat") : colour;
    paper.lineCap = paper.lineJoin = "round";
    paper.lineWidth = width * (here[2] ?? 1);
    paper.beginPath();
    paper.moveTo(...(i > 1 ? midpoint(points[i - 2], before) : before.slice(0, 2)));
    paper.quadraticCurveTo(before[0], before[1], ...midpoint(before, here));
    paper.stroke();
  }
}

/** Draws the last half segment, which inkPoint leaves to the next point; a single point becomes a dot. */
export function inkEnd(onto, { points, colour }) {
  const last = points.at(-1);
  for (const paper of layersOf(onto, colour)) {
    paper.beginPath();
    paper.moveTo(...(points.length > 1 ? midpoint(points.at(-2), last) : last.slice(0, 2)));
    paper.lineTo(last[0] + 0.01, last[1]); // a line of no length at all would not be drawn
    paper.stroke();
  }
}

/** The whole drawing on a sheet, whatever was there. */
export function ink(onto, drawing) {
  clear(onto);
  inkMore(onto, sinceClear(drawing));
}

/** Strokes over what is on the sheet: the same pixels as if all were inked anew. */
export function inkMore(onto, strokes) {
  for (const one of strokes) {
    if (one.clear) clear(onto);
    else if (one.image) lay(pictures.get(one.image), onto, "source-over");
    else if (one.points) {
      one.points.forEach((_, i) => inkPoint(onto, one, i));
      inkEnd(onto, one);
    }
  }
}

const clear = ({ lines, colours }) => [lines, colours].forEach((layer) => layer.clearRect(0, 0, SIDE, SIDE));

/** What is on one sheet, on another one, too. */
export const copy = (sheet, onto) => lay(sheet, onto, "copy");

function lay(sheet, onto, operation) {
  for (const name of ["lines", "colours"]) {
    onto[name].globalCompositeOperation = operation;
    onto[name].drawImage(sheet[name].canvas, 0, 0);
  }
}

/** Lays the sheet's layers on white paper. */
export function flatten({ lines, colours }, paper) {
  const { width, height } = paper.canvas;
  paper.fillStyle = WHITE;
  paper.fillRect(0, 0, width, height);
  for (const layer of [colours, lines]) paper.drawImage(layer.canvas, 0, 0, width, height);
}

/** A number that the drawing keeps while it grows: the one chosen last, or what its first stroke tells. */
export function seedOf(drawing) {
  const strokes = sinceClear(drawing);
  const { points: [[x, y]] = [[0, 0]] } = strokes[0] ?? {};
  return strokes.findLast((one) => "seed" in one)?.seed ?? Math.round(10 * x) + 31 * Math.round(10 * y);
}

/** The photo whose colours the drawing's photo takes, as a data URL; undefined or null for none. */
export const coloursOf = (drawing) => sinceClear(drawing).findLast((one) => "photo" in one)?.photo;

export const sinceClear = (drawing) => drawing.slice(drawing.findLastIndex((one) => one.clear) + 1);

// --- pictures on the sheet ------------------------------------------------------------------------------------------

async function decoded(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

/** `image` on white `paper`, as large as fits, in the middle. */
function paint(image, paper) {
  const { width, height } = paper.canvas;
  const scale = Math.min(width / image.naturalWidth, height / image.naturalHeight);
  const [w, h] = [image.naturalWidth * scale, image.naturalHeight * scale];
  paper.imageSmoothingQuality = "high";
  paper.fillStyle = WHITE;
  paper.fillRect(0, 0, width, height);
  paper.drawImage(image, (width - w) / 2, (height - h) / 2, w, h);
}

/** The picture at an address, fitted on a white sheet, as a stroke; throws if there is none. */
export async function pictureStroke(url, seed) {
  const paper = newLayer();
  paint(await decoded(url), paper);
  const stroke = { image: paper.canvas.toDataURL("image/png"), seed };
  pictures.set(stroke.image, layersOfPicture(paper));
  return stroke;
}

/** The photo at an address as the stroke that gives its colours; throws if there is none. */
export async function photoStroke(url) {
  const image = await decoded(url);
  const scale = Math.min(PHOTO_SIDE / Math.max(image.naturalWidth, image.naturalHeight), 1);
  const [width, height] = [image.naturalWidth, image.naturalHeight].map((side) => Math.max(Math.round(side * scale), MIN_SIDE));
  const paper = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d");
  paint(image, paper);
  return { photo: paper.canvas.toDataURL("image/jpeg", 0.9) };
}

/** Grey pixels are lines, black ink of some thickness; all others are colours, so that new colours can replace them. */
function layersOfPicture(paper) {
  const layers = newSheet();
  const [lines, colours] = [paper.getImageData(0, 0, SIDE, SIDE), paper.getImageData(0, 0, SIDE, SIDE)];
  for (let i = 0; i < lines.data.length; i += 4) {
    const [red, green, blue] = lines.data.subarray(i, i + 3);
    const lightest = Math.max(red, green, blue);
    const coloured = lightest - Math.min(red, green, blue) >= COLOURFUL;
    lines.data.set([0, 0, 0, coloured ? 0 : 255 - lightest], i);
    colours.data[i + 3] = coloured ? 255 : 0;
  }
  layers.lines.putImageData(lines, 0, 0);
  layers.colours.putImageData(colours, 0, 0);
  return layers;
}
