// The drawing canvas. Gradio runs this file as the body of a function when the component is mounted, with
//   element: the component's root, already holding canvas.html
//   props:   what app.py passed: examples (name, strokes) and colours
//   server:  redraw(frame) -> Promise of the answer, undefined if the server could not be reached
//
// A drawing is a list of steps (what undo takes back), a step is a list of strokes, a stroke is
//   { colour, width, points: [[x, y, pressure = 1], ...] } in pixels of the 512 × 512 sheet, or { clear: true }.

const SIDE = 512;
const BLACK = "#000000";
const WHITE = "#ffffff";
const ERASER_WIDTH = 6; // times the pen's
const FRAME_GAP = 30; // ms between an answer and the next frame: room for the pen itself
const RETRY_GAP = 1000; // ms
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

const midpoint = (a, b) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];

/** Draws the part of a stroke that its point number i completes: a curve from midpoint to midpoint. */
function inkPoint(paper, { points, width, colour }, i) {
  const [before, here] = [points[Math.max(i - 1, 0)], points[i]];
  paper.strokeStyle = colour;
  paper.lineCap = paper.lineJoin = "round";
  paper.lineWidth = width * (here[2] ?? 1);
  paper.beginPath();
  paper.moveTo(...(i > 1 ? midpoint(points[i - 2], before) : before.slice(0, 2)));
  paper.quadraticCurveTo(before[0], before[1], ...midpoint(before, here));
  paper.stroke();
}

/** Draws the last half segment, which inkPoint leaves to the next point; a single point becomes a dot. */
function inkEnd(paper, { points }) {
  const last = points.at(-1);
  paper.beginPath();
  paper.moveTo(...(points.length > 1 ? midpoint(points.at(-2), last) : last.slice(0, 2)));
  paper.lineTo(last[0] + 0.01, last[1]); // a line of no length at all would not be drawn
  paper.stroke();
}

function ink(paper, drawing) {
  paper.fillStyle = WHITE;
  for (const one of drawing) {
    if (one.clear) {
      paper.fillRect(0, 0, SIDE, SIDE);
    } else {
      one.points.forEach((_, i) => inkPoint(paper, one, i));
      inkEnd(paper, one);
    }
  }
}

function isEmpty() {
  const strokes = steps.flat();
  const latest = strokes.slice(strokes.findLastIndex((one) => one.clear) + 1);
  return !stroke && latest.every((one) => one.colour === WHITE);
}

function changed() {
  ink(context, [{ clear: true }, ...steps.flat()]);
  save();
  request();
}

function save() {
  try {
    sessionStorage.setItem(STORE, JSON.stringify(steps));
  } catch {
    // Storage is full or forbidden: the drawing lives on the page alone.
  }
}

function restore() {
  try {
    const stored = JSON.parse(sessionStorage.getItem(STORE)) ?? [];
    ink(context, [{ clear: true }, ...stored.flat()]); // throws if it is not a drawing
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

canvas.addEventListener("pointerdown", (event) => {
  if (stroke || event.button !== 0) return;
  event.preventDefault(); // no text selection; the focus is set by hand for the keyboard shortcuts
  canvas.focus({ preventScroll: true });
  canvas.setPointerCapture(event.pointerId);
  const width = Number(widthSlider.value);
  stroke = tool === "pen" ? { colour, width } : { colour: WHITE, width: width * ERASER_WIDTH };
  stroke.pointer = event.pointerId;
  stroke.points = [pointOf(event)];
  inkPoint(context, stroke, 0);
  inkEnd(context, stroke);
  request();
});

canvas.addEventListener("pointermove", (event) => {
  if (stroke?.pointer !== event.pointerId) return;
  const events = event.getCoalescedEvents?.() ?? [];
  for (const one of events.length ? events : [event]) {
    const [point, last] = [pointOf(one), stroke.points.at(-1)];
    if (Math.hypot(point[0] - last[0], point[1] - last[1]) < 1) continue;
    stroke.points.push(point);
    inkPoint(context, stroke, stroke.points.length - 1);
  }
  request();
});

function penUp(event) {
  if (stroke?.pointer !== event.pointerId) return;
  const { pointer, ...finished } = stroke;
  inkEnd(context, stroke);
  stroke = null;
  addStep([finished]);
}
canvas.addEventListener("pointerup", penUp);
canvas.addEventListener("pointercancel", penUp);

// --- tools ----------------------------------------------------------------------------------------------------------

function addStep(step) {
  steps.push(step);
  undone = [];
  changed();
}

const actions = {
  undo: () => steps.length && (undone.push(steps.pop()), changed()),
  redo: () => undone.length && (steps.push(undone.pop()), changed()),
  clear: () => isEmpty() || addStep([{ clear: true }]),
};
findAll("[data-action]").forEach((button) => button.addEventListener("click", actions[button.dataset.action]));

function choose(newTool, newColour) {
  [tool, colour] = [newTool, newColour];
  const press = (button, on) => button.setAttribute("aria-pressed", on);
  findAll("[data-tool]").forEach((button) => press(button, button.dataset.tool === tool));
  findAll("[data-colour]").forEach((b) => press(b, tool === "pen" && b.dataset.colour === colour));
  showPen();
}

/** The dot beside the slider and the cursor are as wide as the line will be. */
function showPen() {
  const scale = canvas.getBoundingClientRect().width / SIDE || 1;
  const width = widthSlider.value * scale * (tool === "pen" ? 1 : ERASER_WIDTH);
  const radius = Math.max(width / 2, 2);
  const side = Math.ceil(2 * radius + 4);
  const circle = `<circle cx="${side / 2}" cy="${side / 2}" r="${radius}" fill="white" stroke="black"/>`;
  const image = `<svg xmlns="http://www.w3.org/2000/svg" width="${side}" height="${side}">${circle}</svg>`;
  canvas.style.cursor =
    tool === "pen" ? "crosshair" : `url("data:image/svg+xml,${encodeURIComponent(image)}") ${side / 2} ${side / 2}, cell`;
  find(".dot").style.width = `${Math.max(widthSlider.value * 1.5, 2)}px`;
  find(".dot").style.background = colour === BLACK ? "currentColor" : colour;
}

findAll("[data-tool]").forEach((button) => button.addEventListener("click", () => choose(button.dataset.tool, colour)));
findAll("[data-colour]").forEach((button) => button.addEventListener("click", () => choose("pen", button.dataset.colour)));
widthSlider.addEventListener("input", showPen);

function onKey(event) {
  if (!element.isConnected) return document.removeEventListener("keydown", onKey);
  const typing = event.target.matches?.("input:not([type=range]), textarea");
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
  const thumbnail = button.querySelector("canvas");
  const paper = thumbnail.getContext("2d");
  paper.scale(thumbnail.width / SIDE, thumbnail.height / SIDE);
  ink(paper, [{ clear: true }, ...drawing.map((one) => ({ ...one, width: 10 }))]);
  button.addEventListener("click", () => addStep([{ clear: true }, ...drawing]));
});

// --- the photo follows ----------------------------------------------------------------------------------------------
// At most one frame is on its way; what is drawn meanwhile goes out as one newer frame when the answer is there. So
// frames never queue up, and an answer is shown only if nothing newer was shown or cleared before it came.

let version = 0; // of the drawing
let sent = 0; // version of the latest frame on its way or answered
let shown = 0; // version of the picture on the page
let waiting = false;

function request() {
  version += 1;
  find(".paper").classList.toggle("empty", isEmpty());
  find('[data-action="undo"]').disabled = !steps.length;
  find('[data-action="redo"]').disabled = !undone.length;
  if (isEmpty()) {
    sent = shown = version;
    showResult(".photo", null);
    showResult(".returned", null);
    showMessage("");
  }
  next();
}

async function next() {
  if (waiting || sent === version || !element.isConnected) return;
  waiting = true;
  const [mine, final] = [version, !stroke];
  sent = mine;
  const answer = await server.redraw({ image: canvas.toDataURL("image/png"), final });
  let gap = FRAME_GAP;
  if (!answer || answer.busy) {
    showMessage(answer ? "Many people are drawing. One moment…" : "The server does not answer. Trying again…");
    if (mine > shown) sent = shown; // the frame is still wanted
    gap = RETRY_GAP;
  } else if (mine > shown) {
    shown = mine;
    show(answer);
  }
  setTimeout(() => ((waiting = false), next()), gap);
}

function show({ error, photo, returned, took }) {
  showMessage(error ?? "");
  showResult(".photo", photo);
  if (returned !== undefined || !photo) showResult(".returned", returned);
  const foot = document.querySelector("#took");
  if (foot && took) foot.textContent = `Last picture: ${took} ms`;
}

function showResult(which, url) {
  const [image, link] = [find(`${which} img`), find(`${which} .save`)];
  image.hidden = link.hidden = !url;
  if (url) image.src = link.href = url;
}

function showMessage(text) {
  const message = find(".message");
  if (message.textContent !== text) message.textContent = text;
}

steps = restore();
choose("pen", BLACK);
changed();
