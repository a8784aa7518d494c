"""Raster line drawing → strokes → SVG: paths for plotters, laser cutters and colouring pages, in any pen width."""

import cv2
import numpy as np
from numpy.typing import NDArray

from cyclegan.drawing.inking import Drawing, Stroke
from cyclegan.drawing.skeleton import pixel_paths, thinned
from cyclegan.drawing.tracing import smooth_path
from cyclegan.images import RGBArray

MAX_SIDE = 1024  # pixels
INK = 128  # of 255: darker pixels are line
SHORTEST = 4  # pixels; shorter paths are specks and spurs of the skeleton
BESIDE = 0.5  # share of a path along a longer one: where the skeleton is two pixels wide, a double is left
CLOSED = 2.5  # pixels between the ends of a closed path
TOLERANCE = 0.35  # pixels by which a path may be simplified


def vectorise(drawing: RGBArray) -> Drawing:
    """The centre lines of a raster ``drawing`` (H×W×3 uint8, dark on light) as strokes in its own pixels.

    A drawing with a longer side beyond MAX_SIDE is reduced first: its lines were enlarged, too.
    """
    ink, _ = _ink(drawing)
    height, width = ink.shape
    strokes: list[Stroke] = []
    drawn = np.zeros((height, width), np.uint8)
    for path in sorted(pixel_paths(thinned(ink), SHORTEST), key=len, reverse=True):
        if drawn[path[:, 1], path[:, 0]].mean() > BESIDE:
            continue
        closed = len(path) > 8 and float(np.linalg.norm(path[0] - path[-1])) <= CLOSED
        strokes.append(Stroke(smooth_path(path, closed), "edge", closed))
        cv2.polylines(drawn, [path.astype(np.int32)], closed, 1, 3)
    return Drawing((width, height), tuple(strokes)).resized((drawing.shape[1], drawing.shape[0]))


def line_width(drawing: RGBArray) -> float:
    """Mean width of the lines of a raster ``drawing`` (H×W×3 uint8, dark on light) in pixels; 1 if it has none."""
    ink, scale = _ink(drawing)
    return max(float(ink.sum()) / max(int(thinned(ink).sum()), 1), 1.0) / scale


def svg_of(drawing: RGBArray, pen: float = 1.0) -> str:
    """An SVG document of the lines of a raster ``drawing`` (H×W×3 uint8), ``pen`` times as wide as they are."""
    return to_svg(vectorise(drawing), pen * line_width(drawing))


def to_svg(drawing: Drawing, width: float = 2.0) -> str:
    """An SVG document of the drawing's size with one path per stroke, in black on white, ``width`` pixels wide."""
    paths = "".join(f'<path d="{_path_data(stroke)}"/>' for stroke in drawing.strokes if len(stroke.points) > 1)
    across, down = drawing.size
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{across}" height="{down}" viewBox="0 0 {across} {down}">'
        f'<rect width="100%" height="100%" fill="#fff"/><g fill="none" stroke="#000" stroke-width="{width:.3g}" '
        f'stroke-linecap="round" stroke-linejoin="round">{paths}</g>'
        "</svg>\n"
    )


def _ink(drawing: RGBArray) -> tuple[NDArray[np.bool_], float]:
    """h×w: where ``drawing``, reduced to MAX_SIDE, is line; and by how much it was reduced (1: not at all)."""
    height, width = drawing.shape[:2]
    scale = min(MAX_SIDE / max(height, width), 1.0)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    small = cv2.resize(drawing, size, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY) < INK, scale


def _path_data(stroke: Stroke) -> str:
    points = cv2.approxPolyDP(stroke.points.reshape(-1, 1, 2), TOLERANCE, stroke.closed)[:, 0]
    return "M" + " ".join(f"{x:.1f},{y:.1f}" for x, y in points) + ("Z" if stroke.closed else "")
