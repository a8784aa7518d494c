"""Photo → line drawing. `trace` finds the lines once; `ink` draws them in any hand as often as wanted."""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cyclegan.drawing.inking import CANONICAL, Drawing, Stroke, StrokeKind, Style, ink, on_grid
from cyclegan.drawing.skeleton import pixel_paths, thinned
from cyclegan.images import largest_channel

__all__ = ["CANONICAL", "Drawing", "Stroke", "Style", "ink", "sketch", "trace"]

WORK_SIZE = 256  # the longer side at which photos are traced: finer structure is not drawn by hand
BORDER_TOLERANCE = 12  # largest channel difference from the background's colour that still is background
SHADE = 70  # difference from the ground that a shadow makes at most
MAIN_STROKES = 10
CELL = 16  # pixels
SHORTEST = 12  # pixels: shorter inner lines are dropped
# Tones spread out where they are dark and, less, where they are pale: seams in black leather and folds in white cloth
# count as much as edges in between.
SPREAD = 1 / np.sqrt(np.linspace(0.01, 1, 256)) + 0.35 / np.sqrt(np.linspace(1, 0.01, 256))
EVEN_TONES = (SPREAD.cumsum() / SPREAD.sum() * 255).round().astype(np.uint8)


def sketch(photo: Image.Image, style: Style | None = None, seed: int = 0) -> Image.Image:
    """A line drawing of an RGB `photo`, black on white, at the photo's own size; mode "RGB"."""
    drawing = trace(np.asarray(photo.convert("RGB")))
    sheet = ink(drawing, style or CANONICAL, np.random.default_rng(seed))
    return Image.fromarray(sheet).convert("RGB")


def trace(photo: NDArray) -> Drawing:
    """The lines of a photo (H×W×3 uint8, RGB) as strokes in drawing order, in the photo's own pixels.

    The silhouette needs a plain background reaching the photo's border; without one there are inner edges only.
    """
    height, width = photo.shape[:2]
    return trace_at_work_size(photo).resized((width, height))


def trace_at_work_size(photo: NDArray) -> Drawing:
    """As `trace`, in pixels of a photo whose longer side has `WORK_SIZE`."""
    height, width = photo.shape[:2]
    scale = WORK_SIZE / max(height, width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    if size != (width, height):
        photo = cv2.resize(photo, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    mask, background = _silhouette(photo)
    outlines = _outlines(photo, mask, background)
    inner = _inner_edges(photo, mask, outlines)
    return Drawing(size, tuple(outlines + inner))


def _silhouette(photo: NDArray) -> tuple[NDArray, NDArray]:
    """Object (255) and ground (0), and the ground's colour; all 255 when the border shows no plain ground."""
    frame = np.concatenate([photo[0], photo[-1], photo[:, 0], photo[:, -1]])
    ground = np.median(frame, axis=0)
    away = np.abs(frame - ground).max(1)
    if (away <= BORDER_TOLERANCE).mean() < 0.6:
        return np.full(photo.shape[:2], 255, np.uint8), ground
    noise = np.clip(2 * np.percentile(away[away <= BORDER_TOLERANCE], 90), 3, BORDER_TOLERANCE)
    difference = _difference(cv2.GaussianBlur(photo, (3, 3), 0), ground)
    near = _from_border(difference <= noise)
    near |= _shadow(photo, ground, near)
    # The edge lies half-way up to the nearby object's own colour; what is fainter is shade or the JPEG's ringing.
    rim = cv2.dilate(near.astype(np.uint8), _disc(9)) > 0
    near = _from_border(near | (rim & _fainter(difference)))
    mask = cv2.morphologyEx(np.where(near, 0, 255).astype(np.uint8), cv2.MORPH_CLOSE, _disc(5))
    thick = cv2.morphologyEx(mask, cv2.MORPH_OPEN, _disc(11))
    thin = cv2.morphologyEx(mask, cv2.MORPH_OPEN, _disc(3))
    return np.where(difference > 90, thin, thick), ground  # thin and pale is the rest of a shadow


def _disc(diameter: int) -> NDArray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter)).astype(np.uint8)


def _difference(photo: NDArray, ground: NDArray) -> NDArray:
    """Each pixel's distance from the ground's colour: its largest channel difference."""
    return largest_channel(cv2.absdiff(photo, np.full_like(photo, ground)))


def _fainter(difference: NDArray) -> NDArray:
    """Where the difference from the ground is less than 0.4 of the largest nearby."""
    return difference <= 0.4 * cv2.dilate(cv2.GaussianBlur(difference, (5, 5), 0), _disc(9))


def _from_border(ground: NDArray) -> NDArray:
    """The part of `ground` that is connected with the border."""
    framed = np.pad(ground.astype(np.uint8), 1, constant_values=1)
    cv2.floodFill(framed, None, (0, 0), 2)
    return framed[1:-1, 1:-1] == 2


def _shadow(photo: NDArray, ground: NDArray, near: NDArray) -> NDArray:
    """Soft grey shade that fades into the ground: no edge lies between it and the ground."""
    soft = cv2.GaussianBlur(photo, (0, 0), 1.5)
    grey = cv2.cvtColor(soft, cv2.COLOR_RGB2GRAY)
    dx, dy = (cv2.Sobel(grey, cv2.CV_32F, *d, scale=1 / 8) for d in ((1, 0), (0, 1)))
    red, green, blue = cv2.split(cv2.absdiff(soft, np.full_like(soft, ground)))
    largest, smallest = cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)
    shade = (cv2.magnitude(dx, dy) < 2.5) & (largest < SHADE) & (largest - smallest < 14)
    opened = cv2.morphologyEx((shade | near).astype(np.uint8), cv2.MORPH_OPEN, _disc(7))  # cuts leaks into the object
    reached = _from_border((opened > 0) | near) & ~near
    pale = (largest[~near & ~reached] < SHADE).mean() if (~near & ~reached).any() else 1.0
    limit = 0.25 if pale < 0.15 else 0.02  # beside a dark object shade is shade; a pale one would leak out through it
    _, labels, stats, _ = cv2.connectedComponentsWithStats(reached.astype(np.uint8))
    small = stats[:, cv2.CC_STAT_AREA] < limit * (~near).sum()
    small[0] = False
    return small[labels]


def _outlines(photo: NDArray, mask: NDArray, ground: NDArray) -> list[Stroke]:
    """Closed strokes around the object's parts and its holes, the largest first."""
    if not mask.any() or mask.all():
        return []
    difference = _difference(photo, ground)
    holes = ((difference <= 6) | _fainter(difference)) & (mask > 0)
    holes = cv2.morphologyEx(holes.astype(np.uint8), cv2.MORPH_OPEN, _disc(5))
    strokes = []
    layers: list[tuple[StrokeKind, NDArray]] = [("outline", mask), ("hole", holes)]
    for kind, layer in layers:
        contours, _ = cv2.findContours(layer, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        contours = sorted(contours, key=cv2.contourArea, reverse=True)[:12]
        smallest = max(60.0, cv2.contourArea(contours[0]) / 100 if kind == "outline" and contours else 0.0)
        for contour in contours:
            if cv2.contourArea(contour) >= smallest and (kind == "outline" or _shows_ground(contour, difference)):
                strokes.append(Stroke(smooth_path(contour[:, 0], closed=True), kind, closed=True))
    return strokes


def _shows_ground(contour: NDArray, difference: NDArray) -> bool:
    """Whether the ground's own colour is seen within `contour`, rather than something pale or a highlight."""
    rim = cv2.dilate(difference, _disc(7))[contour[:, 0, 1], contour[:, 0, 0]]
    x, y, width, height = cv2.boundingRect(contour)
    within = np.zeros((height, width), np.uint8)
    cv2.drawContours(within, [contour - (x, y)], 0, 1, cv2.FILLED)
    return bool(np.median(difference[y : y + height, x : x + width][within > 0]) <= 4 and np.median(rim) >= 40)


def _inner_edges(photo: NDArray, mask: NDArray, outlines: list[Stroke]) -> list[Stroke]:
    """Open strokes along the edges inside `mask`, texture and doubles left out, main edges first."""
    edges, strength = _edges(photo, mask)
    taken = np.zeros_like(mask)
    _mark(taken, outlines)
    lines = thinned(cv2.morphologyEx(edges, cv2.MORPH_CLOSE, _disc(5)))  # the two sides of a line are one
    paths = [(float(strength[path[:, 1], path[:, 0]].sum()), path) for path in pixel_paths(lines, SHORTEST)]
    paths.sort(key=lambda pair: -pair[0])
    density = np.zeros(mask.shape, int)  # pixels drawn in each square of CELL pixels
    main: list[Stroke] = []
    details: list[Stroke] = []
    for importance, path in paths:
        for part in _free_runs(path, taken):
            cells = part[:, 1] // CELL, part[:, 0] // CELL
            crowded = density[cells].mean() > min(CELL / 2 + len(part) / 2, 2.5 * CELL)
            if len(part) < SHORTEST or crowded or importance < 0.02 * paths[0][0]:
                continue
            np.add.at(density, cells, 1)
            ring = len(part) > 20 and np.abs(part[0] - part[-1]).max() <= 4
            leading = len(main) < MAIN_STROKES and len(part) >= 2 * SHORTEST
            stroke = Stroke(smooth_path(part, ring), "edge" if leading else "detail", ring)
            (main if leading else details).append(stroke)
            _mark(taken, [stroke])
    return _in_order(main) + _in_order(details)


def _edges(photo: NDArray, mask: NDArray) -> tuple[NDArray, NDArray]:
    """Canny's edges (255) with texture suppressed, and the strength of each pixel's edge.

    Suppression by the surround as in Grigorescu et al., "Contour detection based on nonclassical receptive field
    inhibition" (2003), section III: an edge among many edges is texture.
    """
    smooth = cv2.bilateralFilter(cv2.LUT(photo, EVEN_TONES), 7, 18, 3)
    smooth = cv2.GaussianBlur(smooth, (0, 0), 1.2).astype(np.float32)
    slopes = [[cv2.Sobel(channel, cv2.CV_32F, *d) for d in ((1, 0), (0, 1))] for channel in cv2.split(smooth)]
    dx, dy = slopes[0]
    magnitude = cv2.magnitude(dx, dy)
    for other_dx, other_dy in slopes[1:]:
        other = cv2.magnitude(other_dx, other_dy)
        stronger = other > magnitude
        dx, dy, magnitude = np.where(stronger, (other_dx, other_dy, other), (dx, dy, magnitude))
    inside = cv2.erode(mask, np.ones((7, 7)), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    magnitude[inside == 0] = 0
    surround = cv2.boxFilter(magnitude, -1, (21, 21))
    kept = np.clip(1 - 1.4 * surround / (magnitude + 1e-3), 0, 1)
    strength = magnitude * kept
    values = strength[inside > 0]
    high = float(np.clip(np.percentile(values, 91), 14, 60)) if len(values) else 90.0
    edges = cv2.Canny((dx * kept).astype(np.int16), (dy * kept).astype(np.int16), high * 0.35, high, L2gradient=True)
    return edges & inside, strength


def _free_runs(chain: NDArray, taken: NDArray) -> list[NDArray]:
    """The parts of `chain` that do not run along a line already drawn."""
    free = taken[chain[:, 1], chain[:, 0]] == 0
    if free.all():
        return [chain]
    cuts = np.flatnonzero(free[1:] != free[:-1]) + 1
    return [part for part in np.split(chain, cuts) if taken[part[0, 1], part[0, 0]] == 0]


def _mark(taken: NDArray, strokes: list[Stroke]) -> None:
    """Marks the surroundings of strokes, where no second line shall run."""
    for stroke in strokes:
        cv2.polylines(taken, [np.rint(stroke.points - 0.5).astype(np.int32)], stroke.closed, 255, 7)


def smooth_path(pixels: NDArray, closed: bool) -> NDArray:
    """A smooth curve through a path of pixels, a point about every two pixels."""
    reach = 4
    points = pixels.astype(np.float32) + 0.5
    if closed:
        padded = np.take(points, range(-reach, len(points) + reach), axis=0, mode="wrap")
    else:  # odd reflection keeps the ends where they are
        n = min(reach, len(points) - 1)
        padded = np.concatenate([2 * points[0] - points[n:0:-1], points, 2 * points[-1] - points[-2 : -n - 2 : -1]])
        reach = n
    smooth = cv2.GaussianBlur(padded[:, None], (1, 2 * reach + 1), 0, sigmaY=1.8)[reach:-reach, 0]
    return on_grid(smooth[::2] if closed else np.concatenate([smooth[:-1:2], smooth[-1:]]))


def _in_order(strokes: list[Stroke]) -> list[Stroke]:
    """Strokes so that each begins near the end of the one before, turned round where that is nearer."""
    if not strokes:
        return []
    ends = np.stack([[s.points[0], s.points[-1]] for s in strokes])
    left = np.ones(len(strokes), bool)
    pen = np.zeros(2, np.float32)
    ordered = []
    for _ in strokes:
        distance = np.linalg.norm(ends - pen, axis=2)
        distance[~left] = np.inf
        index, side = np.unravel_index(distance.argmin(), distance.shape)
        left[index] = False
        stroke = strokes[index]
        pen = ends[index, 1 - side]
        ordered.append(replace(stroke, points=stroke.points[::-1]) if side else stroke)
    return ordered
