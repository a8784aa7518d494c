// The canvas and its tools: pen, eraser, colours, undo, examples; keeps the drawing for a reload.
//
// The drawing is a list of steps (what undo takes back), a step is a list of strokes (see ink.js). However many there
// are, a new one costs the same: it is inked over the others, and the drawing is kept while the pen rests.

import {
  BLACK,
  SIDE,
  WHITE,
  coloursOf,
  copy,
  flatten,
  ink,
  inkEnd,
  inkMore,
  inkPoint,
  newSheet,
  photoStroke,
  pictureStroke,
  sinceClear,
} from "./ink.js";
import { finder, press } from "./elements.js";
import { SCRAMBLED, readsBack } from "./readback.js";
import { followPointers } from "./pointers.js";

const ERASER_WIDTH = 6; // times the pen's
const BRUSH_WIDTH = 3.5; // times the pen's: thin lines of colour tell the model little
const STORE = "sketch-photo-drawing";
const REST_MS = 200; // without a stroke, until the drawing is kept

/**
 * Sets up the canvas in `element`. `examples`: [{ name, strokes }]; `onChange` is called when the drawing was changed,
 * `onAnother` before another takes its place, `onTrouble` with a sentence. Returns what the photo and the extras need.
 */
export function createCanvas(element, examples, { onChange, onAnother, onTrouble }) {
  const { find, findAll } = finder(element);
  const canvas = find("canvas.ink");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const widthSlider = find(".width input");
  const ground = find(".ground");
  const ownColours = find(".own-colours input");
  const settled = newSheet(); // the steps
  const sheet = newSheet(); // what the canvas shows: them and the stroke under the pen
  const scratch = newSheet();

  let steps = [];
  let undone = [];
  let stroke = null; // the one under the pen
  let tool = "pen";
  let colour = BLACK;

  // --- pictures -------------------------------------------------------------------------------------------------------

  /** A picture on a clear sheet; `photo`: address of the one whose colours come with it. */
  async function startFrom(url, { seed = 0, photo } = {}) {
    if (!readsBack()) return onTrouble(SCRAMBLED);
    try {
      const colours = photo ? [await photoStroke(photo)] : [];
      addStep([{ clear: true }, ...colours, await pictureStroke(url, seed)]);
    } catch {
      onTrouble("That picture could not be put on the sheet.");
    }
  }

  /**
   * The Photo → Sketch tab gives a sketch to go on with, and the photo that it is of:
   * new CustomEvent("edit-lines", { detail: { image: URL of the sketch, photo: URL } }).
   */
  function onEditLines(event) {
    if (!element.isConnected) return document.removeEventListener("edit-lines", onEditLines);
    onAnother();
    startFrom(event.detail.image, { photo: event.detail.photo });
  }
  document.addEventListener("edit-lines", onEditLines);

  /** Shows the photo whose colours the drawing has, pale and under the lines, and the switch that forgets them. */
  function showColours() {
    const drawing = steps.flat();
    const [photo, last] = [coloursOf(drawing), sinceClear(drawing).findLast((one) => one.photo)];
    ground.hidden = !photo;
    if (photo) ground.src = photo;
    find(".own-colours").hidden = !last;
    ownColours.checked = Boolean(photo);
    ownColours.value = last?.photo ?? "";
  }
  ownColours.addEventListener("change", () => addStep([{ photo: ownColours.checked ? ownColours.value : null }]));

  // --- steps ----------------------------------------------------------------------------------------------------------

  function isEmpty() {
    return !stroke && !coloursOf(steps.flat()) && sinceClear(steps.flat()).every((one) => !one.image && (one.colour ?? WHITE) === WHITE);
  }

  /** The steps are others than `settled` shows. */
  function changed() {
    ink(settled, steps.flat());
    show();
    saveSoon();
  }

  function addStep(step) {
    endStroke();
    steps.push(step);
    undone = [];
    inkMore(settled, step);
    show();
    saveSoon();
  }

  function beginWith(drawing) {
    onAnother();
    addStep([{ clear: true }, ...drawing]);
  }

  function show() {
    copy(settled, sheet);
    flatten(sheet, context);
    showColours();
    onChange();
  }

  let saving = 0; // the timer; 0 if all is kept

  function saveSoon() {
    clearTimeout(saving);
    saving = setTimeout(() => (stroke ? saveSoon() : save()), REST_MS); // saving would hold up the pen
  }

  /** Keeps the drawing for a reload: with all its steps or, where pictures are too many for that, as it is. */
  function save() {
    clearTimeout(saving);
    saving = 0;
    for (const kept of [steps, [sinceClear(steps.flat())]]) {
      try {
        return sessionStorage.setItem(STORE, JSON.stringify(kept));
      } catch {
        // Storage is full or forbidden. In the end the drawing lives on the page alone.
      }
    }
  }

  function onLeave() {
    if (!element.isConnected) removeEventListener("pagehide", onLeave);
    else if (saving) save();
  }
  addEventListener("pagehide", onLeave);

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

  // --- strokes --------------------------------------------------------------------------------------------------------

  /** Width of the next stroke on the sheet. */
  function strokeWidth(erases = tool === "eraser") {
    const factor = erases ? ERASER_WIDTH : colour === BLACK ? 1 : BRUSH_WIDTH;
    return widthSlider.value * factor;
  }

  function beginStroke(point, erases) {
    const white = erases || tool === "eraser";
    stroke = { colour: white ? WHITE : colour, width: strokeWidth(white), points: [point] };
    inkPoint(sheet, stroke, 0);
    inkEnd(sheet, stroke);
    flatten(sheet, context);
    onChange();
  }

  function moveStroke(points) {
    if (!stroke) return; // undone under the pen
    for (const point of points) {
      const last = stroke.points.at(-1);
      if (Math.hypot(point[0] - last[0], point[1] - last[1]) < 1) continue;
      stroke.points.push(point);
      inkPoint(sheet, stroke, stroke.points.length - 1);
    }
    flatten(sheet, context);
    onChange();
  }

  function endStroke() {
    if (!stroke) return;
    const finished = stroke;
    stroke = null;
    addStep([finished]);
  }

  function dropStroke() {
    if (!stroke) return;
    stroke = null;
    show();
  }

  followPointers(canvas, { begin: beginStroke, move: moveStroke, end: endStroke, drop: dropStroke });

  // --- tools ----------------------------------------------------------------------------------------------------------

  const actions = {
    undo: () => (stroke ? dropStroke() : steps.length && (undone.push(steps.pop()), changed())),
    redo: () => !stroke && undone.length && (steps.push(undone.pop()), changed()),
    clear: () => isEmpty() || beginWith([]),
  };
  findAll("[data-action]").forEach((button) => button.addEventListener("click", actions[button.dataset.action]));

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
    const { strokes } = examples.find((one) => one.name === button.dataset.example);
    const drawing = strokes.map((one) => ({ colour: BLACK, ...one }));
    ink(scratch, drawing.map((one) => ({ ...one, width: 10 })));
    flatten(scratch, button.querySelector("canvas").getContext("2d"));
    button.addEventListener("click", () => beginWith(drawing));
  });

  return {
    canvas,
    isEmpty,
    addStep,
    startFrom,
    isDrawing: () => stroke !== null,
    takeBlack: () => choose(tool, BLACK),
    drawing: () => [...steps.flat(), ...(stroke ? [stroke] : [])],
    canUndo: () => steps.length > 0,
    canRedo: () => undone.length > 0,
    start: async () => {
      choose("pen", BLACK);
      steps = [...(await restore()), ...steps];
      ink(settled, steps.flat());
      show();
    },
  };
}
