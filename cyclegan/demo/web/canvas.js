// The canvas and its tools: pen, eraser, colours, undo, examples; keeps the drawing for a reload.
//
// The drawing is a list of steps (what undo takes back), a step is a list of strokes (see ink.js).

import {
  BLACK,
  SIDE,
  WHITE,
  coloursOf,
  flatten,
  ink,
  inkEnd,
  inkPoint,
  newSheet,
  photoStroke,
  pictureStroke,
  sinceClear,
} from "./ink.js";
import { finder, press } from "./elements.js";

const ERASER_WIDTH = 6; // times the pen's
const BRUSH_WIDTH = 3.5; // times the pen's: thin lines of colour tell the model little
const STORE = "sketch-photo-drawing";

/**
 * Sets up the canvas in `element`. `examples`: [{ name, strokes }]; `onChange` is called when the drawing was changed,
 * `onTrouble` with a sentence. Returns what the photo and the extras need.
 */
export function createCanvas(element, examples, onChange, onTrouble) {
  const { find, findAll } = finder(element);
  const canvas = find("canvas.ink");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const widthSlider = find(".width input");
  const ground = find(".ground");
  const ownColours = find(".own-colours input");
  const sheet = newSheet(); // what the canvas shows
  const scratch = newSheet();

  let steps = [];
  let undone = [];
  let stroke = null; // the one under the pen
  let tool = "pen";
  let colour = BLACK;

  // --- pictures -------------------------------------------------------------------------------------------------------

  /** A picture on a clear sheet; `photo`: address of the one whose colours come with it. */
  async function startFrom(url, { seed = 0, photo } = {}) {
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

  function changed() {
    ink(sheet, steps.flat());
    flatten(sheet, context);
    showColours();
    save();
    onChange();
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
    onChange();
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
    onChange();
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
    button.addEventListener("click", () => addStep([{ clear: true }, ...drawing]));
  });

  return {
    canvas,
    isEmpty,
    addStep,
    startFrom,
    isDrawing: () => stroke !== null,
    drawing: () => [...steps.flat(), ...(stroke ? [stroke] : [])],
    canUndo: () => steps.length > 0,
    canRedo: () => undone.length > 0,
    start: async () => {
      choose("pen", BLACK);
      steps = [...(await restore()), ...steps];
      changed();
    },
  };
}
