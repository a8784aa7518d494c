// Mouse, fingers and pens → strokes.
//
// One pointer draws at a time, and a pen beats fingers: the hand that holds it lies on the glass, before the pen comes,
// beside it, and between two of its strokes.

import { SIDE } from "./ink.js";

const PALM_MS = 700; // after a pen was seen: a touch is the hand that holds it
const [ERASER_BUTTON, ERASER_BUTTONS] = [5, 32]; // the other end of a stylus (Pointer Events, section 4.1.3)

/**
 * Tells of strokes on the canvas: `begin(point, erases)`, `move(points)`, then `end()`, or `drop()` if it was none. A
 * point is [x, y], with a third number, the factor of the width, if a pen makes it.
 */
export function followPointers(canvas, { begin, move, end, drop }) {
  let drawing = null; // the pointer that does: { id, type }
  let penSeen = -Infinity;

  function pointOf(event) {
    const box = canvas.getBoundingClientRect();
    const round = (value) => Math.round(value * 10) / 10;
    const point = [
      round(((event.clientX - box.left) / box.width) * SIDE),
      round(((event.clientY - box.top) / box.height) * SIDE),
    ];
    return event.pointerType === "pen" ? [...point, round(0.4 + 1.2 * event.pressure)] : point;
  }

  function notePen(event) {
    if (event.pointerType === "pen") penSeen = event.timeStamp;
  }

  canvas.addEventListener("pointerdown", (event) => {
    notePen(event);
    const { pointerId: id, pointerType: type } = event;
    const erases = event.button === ERASER_BUTTON;
    if (event.button !== 0 && !erases) return;
    if (type === "touch" && event.timeStamp - penSeen < PALM_MS) return;
    if (drawing && !(type === "pen" && drawing.type === "touch")) return;
    if (drawing) drop();
    event.preventDefault(); // no text selection; the focus is set by hand for the keyboard shortcuts
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(id);
    drawing = { id, type };
    begin(pointOf(event), erases || (event.buttons & ERASER_BUTTONS) > 0);
  });

  canvas.addEventListener("pointermove", (event) => {
    notePen(event);
    if (drawing?.id !== event.pointerId) return;
    const events = event.getCoalescedEvents?.() ?? [];
    move((events.length ? events : [event]).map(pointOf));
  });

  for (const [name, act] of [["pointerup", end], ["pointercancel", drop]]) {
    canvas.addEventListener(name, (event) => {
      notePen(event);
      if (drawing?.id !== event.pointerId) return;
      drawing = null;
      act();
    });
  }
}
