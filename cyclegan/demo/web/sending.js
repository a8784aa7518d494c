// A drawing on its way to the server, which keeps drawings by names: what it has is not sent again.

import { sinceClear } from "./ink.js";
import { readsBack } from "./readback.js";

const MOST_POINTS = 5000; // of a drawing that the server does not have; a picture of a longer one is smaller, and inked at once

/** Where a drawing, a list of strokes, ends now: its last stroke, which goes on if it is `open`, and its points so far. */
export function endOf(drawing, open) {
  const stroke = drawing.at(-1);
  return { stroke, points: stroke?.points?.length ?? 0, open };
}

/** What came after such an end, as sheets.py reads it; without one, everything. `open`: does the pen still draw the last stroke? */
export function since(drawing, end, open) {
  const strokes = drawing.slice(drawing.indexOf(end?.stroke) + 1);
  const photo = strokes.findLast((one) => "photo" in one);
  const fresh = strokes.flatMap((one) => {
    if (one.points) return [{ colour: one.colour, width: one.width, ...packed(one.points) }];
    return one.image ? [{ image: one.image }] : one === photo ? [{ photo: one.photo }] : [];
  });
  if (end?.open) fresh.unshift(packed(end.stroke.points.slice(end.points)));
  if (open && fresh.length) fresh.at(-1).open = true;
  return fresh;
}

/** Points in tenths of a pixel, each but the first as the difference from the one before. */
function packed(points) {
  let [left, top] = [0, 0];
  const differences = points.flatMap((point) => {
    const [x, y] = [Math.round(10 * point[0]), Math.round(10 * point[1])];
    const difference = [x - left, y - top];
    [left, top] = [x, y];
    return difference;
  });
  if (points.every(([, , pressure]) => pressure === undefined)) return { points: differences };
  return { points: differences, pressures: points.map(([, , pressure = 1]) => Math.round(10 * pressure)) };
}

/** Remembers which drawings the server has, by their last strokes: undo returns to an earlier one, redo to a later. */
export function createSender() {
  let kept = new WeakMap(); // last stroke → { name, end }

  /** What to send of a drawing, which `canvas` shows if there is one, and a function that takes the name by which it is then kept. */
  function pack(all, open, canvas) {
    const drawing = sinceClear(all);
    const { name = null, end } = kept.get(drawing.findLast((one) => kept.has(one))) ?? {};
    const now = endOf(drawing, open);
    const keep = (newName) => now.stroke && kept.set(now.stroke, { name: newName, end: now });
    let strokes = since(drawing, end, open);
    if (canvas && !name && !open && count(drawing) > MOST_POINTS && readsBack()) {
      strokes = [...since(drawing.filter((one) => "photo" in one)), { image: canvas.toDataURL("image/png") }];
    }
    return { onto: name, strokes, keep };
  }

  return { pack, forget: () => (kept = new WeakMap()) };
}

const count = (drawing) => drawing.reduce((sum, { points }) => sum + (points?.length ?? 0), 0);
