// The drawing. Gradio runs this file, photo.js and extras.js as one, the body of a function, when the component is mounted:
//   element: the component's root, already holding canvas.html
//   props:   what draw.py passed: examples (name, strokes), colours, critics
//   server:  draw.py's functions, each a Promise of its answer, undefined if the server could not be reached
//
// A drawing is a list of steps (what undo takes back), a step is a list of strokes, a stroke is
//   { colour, width, points: [[x, y, pressure = 1], ...] } in pixels of the 512 × 512 sheet,
//   { clear: true }, { image: data URL of a picture as large as the sheet }, or { seed: of the colours, from here on }.

const SIDE = 512;
const BLACK = "#000000";
const WHITE = "#ffffff"; // the eraser's
const ERASER_WIDTH = 6; // times the pen's
const BRUSH_WIDTH = 3.5; // times the pen's: thin lines of colour tell the model little
const COLOURFUL = 28; // difference between channels, of 255: what has less is a black or grey line
const STORE = "sketch-photo-drawing";

const find = (selector) => element.querySelector(selector);
const findAll = (selector) => [...element.querySelectorAll(selector)];
const canvas = find("canvas.ink");
const context = canvas.getContext("2d", { willReadFrequently: true });
const widthSlider = find(".width input");

let steps = [];
let undone = [];
let stroke = null; // the one under the pen
let tool = "pen";
let colour = BLACK;

// --- ink ------------------------------------------------------------------------------------------------------------
// A sheet has two layers: black lines lie over the colours, as in the drawings of the training, whatever came first.

const newLayer = () =>
  Object.assign(document.createElement("canvas"), { width: SIDE, height: SIDE }).getContext("2d", { willReadFrequently: true });
const newSheet = () => ({ lines: newLayer(), colours: newLayer() });
const sheet = newSheet(); // what the canvas shows
const scratch = newSheet();
const pictures = new Map(); // the sheets of pictures, by their data URLs

const layersOf = ({ lines, colours }, one) => (one === WHITE ? [lines, colours] : [one === BLACK ? lines : colours]);
const midpoint = (a, b) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];

/** Draws the part of a stroke that its point number i completes: a curve from midpoint to midpoint. */
function inkPoint(onto, { points, width, colour }, i) {
  const [before, here] = [points[Math.max(i - 1, 0)], points[i]];
  for (const paper of layersOf(onto, colour)) {
    paper.globalCompositeOperation = colour === WHITE ? "destination-out" : "source-over";
    paper.strokeStyle = colour;
    paper.lineCap = paper.lineJoin = "round";
    paper.lineWidth = width * (here[2] ?? 1);
    paper.beginPath();
    paper.moveTo(...(i > 1 ? midpoint(points[i - 2], before) : before.slice(0, 2)));
    paper.quadraticCurveTo(before[0], before[1], ...midpoint(before, here));
    paper.stroke();
  }
}

/** Draws the last half segment, which inkPoint leaves to the next point; a single point becomes a dot. */
function inkEnd(onto, { points, colour }) {
  const last = points.at(-1);
  for (const paper of layersOf(onto, colour)) {
    paper.beginPath();
    paper.moveTo(...(points.length > 1 ? midpoint(points.at(-2), last) : last.slice(0, 2)));
    paper.lineTo(last[0] + 0.01, last[1]); // a line of no length at all would not be drawn
    paper.stroke();
  }
}

function ink(onto, drawing) {
  for (const layer of [onto.lines, onto.colours]) layer.clearRect(0, 0, SIDE, SIDE);
  for (const one of sinceClear(drawing)) {
    if (one.image) {
      for (const name of ["lines", "colours"]) {
        onto[name].globalCompositeOperation = "source-over";
        onto[name].drawImage(pictures.get(one.image)[name].canvas, 0, 0);
      }
    } else if (one.points) {
      one.points.forEach((_, i) => inkPoint(onto, one, i));
      inkEnd(onto, one);
    }
  }
}

/** Lays the sheet's layers on white paper. */
function flatten({ lines, colours }, paper) {
  const { width, height } = paper.canvas;
  paper.fillStyle = WHITE;
  paper.fillRect(0, 0, width, height);
  for (const layer of [colours, lines]) paper.drawImage(layer.canvas, 0, 0, width, height);
}

/** A number that the drawing keeps while it grows: the one chosen last, or what its first stroke tells. */
function seedOf(drawing) {
  const strokes = sinceClear(drawing);
  const { points: [[x, y]] = [[0, 0]] } = strokes[0] ?? {};
  return strokes.findLast((one) => "seed" in one)?.seed ?? Math.round(10 * x) + 31 * Math.round(10 * y);
}

const sinceClear = (drawing) => drawing.slice(drawing.findLastIndex((one) => one.clear) + 1);

// --- pictures on the sheet ------------------------------------------------------------------------------------------

/** The picture at an address, fitted on a white sheet, as a stroke; throws if there is none. */
async function pictureStroke(url, seed) {
  const image = new Image();
  image.src = url;
  await image.decode();
  const scale = SIDE / Math.max(image.naturalWidth, image.naturalHeight);
  const [width, height] = [image.naturalWidth * scale, image.naturalHeight * scale];
  const paper = newLayer();
  paper.fillStyle = WHITE;
  paper.fillRect(0, 0, SIDE, SIDE);
  paper.drawImage(image, (SIDE - width) / 2, (SIDE - height) / 2, width, height);
  const stroke = { image: paper.canvas.toDataURL("image/png"), seed };
  pictures.set(stroke.image, layersOfPicture(paper));
  return stroke;
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

async function startFrom(url, seed = 0) {
  try {
    addStep([{ clear: true }, await pictureStroke(url, seed)]);
  } catch {
    showMessage("That picture could not be put on the sheet.");
  }
}

/** The Photo → Sketch tab gives a sketch to go on with: new CustomEvent("edit-lines", { detail: { image: its URL } }). */
function onEditLines(event) {
  if (!element.isConnected) return document.removeEventListener("edit-lines", onEditLines);
  startFrom(event.detail.image);
}
document.addEventListener("edit-lines", onEditLines);

// --- steps ----------------------------------------------------------------------------------------------------------

function isEmpty() {
  return !stroke && sinceClear(steps.flat()).every((one) => !one.image && (one.colour ?? WHITE) === WHITE);
}

function changed() {
  ink(sheet, steps.flat());
  flatten(sheet, context);
  save();
  request();
}

function addStep(step) {
  steps.push(step);
  undone = [];
  changed();
}

/** Keeps the drawing for a reload: with all its steps or, where pictures are too many for that, as it is. */
function save() {
  for (const kept of [steps, [sinceClear(steps.flat())]]) {
    try {
      return sessionStorage.setItem(STORE, JSON.stringify(kept));
    } catch {
      // Storage is full or forbidden. In the end the drawing lives on the page alone.
    }
  }
}

async function restore() {
  try {
    const stored = JSON.parse(sessionStorage.getItem(STORE)) ?? [];
    for (const { image } of stored.flat()) if (image) await pictureStroke(image);
    ink(scratch, stored.flat()); // throws if it is not a drawing
    return stored;
  } catch {
    return [];
  }
}

// --- pen, mouse, finger ---------------------------------------------------------------------------------------------

function pointOf(event) {
  const box = canvas.getBoundingClientRect();
  const round = (value) => Math.round(value * 10) / 10;
  const point = [
    round(((event.clientX - box.left) / box.width) * SIDE),
    round(((event.clientY - box.top) / box.height) * SIDE),
  ];
  return event.pointerType === "pen" ? [...point, round(0.4 + 1.2 * event.pressure)] : point;
}

/** Width of the next stroke on the sheet. */
function strokeWidth() {
  const factor = tool === "eraser" ? ERASER_WIDTH : colour === BLACK ? 1 : BRUSH_WIDTH;
  return widthSlider.value * factor;
}

canvas.addEventListener("pointerdown", (event) => {
  if (stroke || event.button !== 0) return;
  event.preventDefault(); // no text selection; the focus is set by hand for the keyboard shortcuts
  canvas.focus({ preventScroll: true });
  canvas.setPointerCapture(event.pointerId);
  stroke = { colour: tool === "pen" ? colour : WHITE, width: strokeWidth(), points: [pointOf(event)] };
  stroke.pointer = event.pointerId;
  inkPoint(sheet, stroke, 0);
  inkEnd(sheet, stroke);
  flatten(sheet, context);
  request();
});

canvas.addEventListener("pointermove", (event) => {
  if (stroke?.pointer !== event.pointerId) return;
  const events = event.getCoalescedEvents?.() ?? [];
  for (const one of events.length ? events : [event]) {
    const [point, last] = [pointOf(one), stroke.points.at(-1)];
    if (Math.hypot(point[0] - last[0], point[1] - last[1]) < 1) continue;
    stroke.points.push(point);
    inkPoint(sheet, stroke, stroke.points.length - 1);
  }
  flatten(sheet, context);
  request();
});

function penUp(event) {
  if (stroke?.pointer !== event.pointerId) return;
  const { pointer, ...finished } = stroke;
  stroke = null;
  addStep([finished]);
}
canvas.addEventListener("pointerup", penUp);
canvas.addEventListener("pointercancel", penUp);

// --- tools ----------------------------------------------------------------------------------------------------------

const actions = {
  undo: () => steps.length && (undone.push(steps.pop()), changed()),
  redo: () => undone.length && (steps.push(undone.pop()), changed()),
  clear: () => isEmpty() || addStep([{ clear: true }]),
};
findAll("[data-action]").forEach((button) => button.addEventListener("click", actions[button.dataset.action]));

const press = (button, on) => button.setAttribute("aria-pressed", on);

function choose(newTool, newColour) {
  [tool, colour] = [newTool, newColour];
  press(find('[data-tool="pen"]'), tool === "pen" && colour === BLACK);
  press(find('[data-tool="eraser"]'), tool === "eraser");
  findAll("[data-colour]").forEach((button) => press(button, tool === "pen" && button.dataset.colour === colour));
  showPen();
}

/** The dot beside the slider and the cursor are as wide as the line will be. */
function showPen() {
  const scale = canvas.getBoundingClientRect().width / SIDE || 1;
  const bold = strokeWidth() > widthSlider.value;
  const radius = Math.max((strokeWidth() * scale) / 2, 2);
  const side = Math.ceil(2 * radius + 4);
  const fill = tool === "pen" ? colour : WHITE;
  const circle = `<circle cx="${side / 2}" cy="${side / 2}" r="${radius}" fill="${fill}" fill-opacity="0.6" stroke="black"/>`;
  const image = `<svg xmlns="http://www.w3.org/2000/svg" width="${side}" height="${side}">${circle}</svg>`;
  canvas.style.cursor = bold ? `url("data:image/svg+xml,${encodeURIComponent(image)}") ${side / 2} ${side / 2}, cell` : "crosshair";
  find(".dot").style.width = `${Math.max((strokeWidth() * scale) / (tool === "pen" ? 1 : 2), 2)}px`;
  find(".dot").style.background = tool === "eraser" ? "none" : colour === BLACK ? "currentColor" : colour;
}

findAll("[data-tool]").forEach((button) => button.addEventListener("click", () => choose(button.dataset.tool, BLACK)));
findAll("[data-colour]").forEach((button) => button.addEventListener("click", () => choose("pen", button.dataset.colour)));
widthSlider.addEventListener("input", showPen);

function onKey(event) {
  if (!element.isConnected) return document.removeEventListener("keydown", onKey);
  const typing = event.target.matches?.("input:not([type=range], [type=checkbox]), textarea");
  if (typing || !canvas.offsetParent || !(event.ctrlKey || event.metaKey)) return;
  const key = event.key.toLowerCase();
  const action = key === "y" || (key === "z" && event.shiftKey) ? "redo" : key === "z" ? "undo" : null;
  if (!action) return;
  event.preventDefault();
  actions[action]();
}
document.addEventListener("keydown", onKey);

findAll("[data-example]").forEach((button) => {
  const { strokes } = props.examples.find((one) => one.name === button.dataset.example);
  const drawing = strokes.map((one) => ({ colour: BLACK, ...one }));
  ink(scratch, drawing.map((one) => ({ ...one, width: 10 })));
  flatten(scratch, button.querySelector("canvas").getContext("2d"));
  button.addEventListener("click", () => addStep([{ clear: true }, ...drawing]));
});
