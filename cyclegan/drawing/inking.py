"""Vector drawing → raster: one traced drawing can be inked in many styles, and to any degree of completion."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray  # N×2 float32
Sheet = NDArray  # H×W uint8
StrokeKind = Literal["outline", "hole", "edge", "detail"]
Detail = Literal["contour", "main", "detailed"]

KINDS: dict[Detail, tuple[StrokeKind, ...]] = {
    "contour": ("outline", "hole"),
    "main": ("outline", "hole", "edge"),
    "detailed": ("outline", "hole", "edge", "detail"),
}
REFERENCE = 256  # pen widths and displacements are given in pixels on a sheet whose longer side has this many
SHIFT = 4  # fractional bits of the coordinates given to OpenCV
GRID = 1 << SHIFT  # positions per pixel of what tracers find


@dataclass(frozen=True)
class Stroke:
    """One movement of the pen.

    `points`: N×2 float32, x to the right and y down, in pixels; the sheet's top left corner is (0, 0), so the centre of
    its first pixel is (0.5, 0.5). A closed stroke returns from its last point to its first.
    """

    points: Points
    kind: StrokeKind
    closed: bool = False

    @property
    def length(self) -> float:
        """Length in pixels, the closing line included."""
        return cv2.arcLength(self.points, self.closed)

    def cut(self, length: float) -> "Stroke":
        """The first `length` pixels of this stroke, which is then open."""
        points = np.concatenate([self.points, self.points[:1]]) if self.closed else self.points
        travelled = _travelled(points)
        end = [np.interp(length, travelled, points[:, axis]) for axis in (0, 1)]
        return replace(self, points=np.array([*points[travelled < length], end], np.float32), closed=False)


@dataclass(frozen=True)
class Drawing:
    """Strokes on a sheet of `size` (width, height), in the order a person draws: outline, main edges, details."""

    size: tuple[int, int]
    strokes: tuple[Stroke, ...]

    @property
    def length(self) -> float:
        """Length of all strokes together in pixels."""
        return sum(stroke.length for stroke in self.strokes)

    def transformed(self, matrix: NDArray, size: tuple[int, int]) -> "Drawing":
        """The drawing under the 2×3 affine `matrix`, on a sheet of `size` (width, height)."""
        matrix = np.asarray(matrix, np.float32)
        strokes = (replace(s, points=s.points @ matrix[:, :2].T + matrix[:, 2]) for s in self.strokes)
        return Drawing(size, tuple(strokes))

    def resized(self, size: tuple[int, int]) -> "Drawing":
        """The drawing stretched to a sheet of `size` (width, height)."""
        (width, height), (to_width, to_height) = self.size, size
        return self.transformed(np.array([[to_width / width, 0, 0], [0, to_height / height, 0]]), size)

    def within(self, matrix: NDArray, size: int) -> "Drawing":
        """What of the drawing, under the 2×3 affine `matrix`, lies on or beside a sheet of `size`×`size` pixels."""
        moved = self.transformed(matrix, (size, size))
        beside = size / 32
        strokes = (
            s for s in moved.strokes if (s.points.max(0) > -beside).all() and (s.points.min(0) < size + beside).all()
        )
        return replace(moved, strokes=tuple(strokes))

    def outside(self, mask: Sheet) -> "Drawing":
        """What of the drawing lies where the H×W `mask` is 0; strokes that it cuts become several, open ones."""
        height, width = mask.shape
        strokes: list[Stroke] = []
        for stroke in self.strokes:
            x, y = stroke.points.astype(int).T
            covered = mask[y.clip(0, height - 1), x.clip(0, width - 1)] > 0
            if not covered.any():
                strokes.append(stroke)
                continue
            parts = np.split(stroke.points, np.flatnonzero(np.diff(covered)) + 1)
            kept = parts[int(covered[0]) :: 2]
            strokes += [replace(stroke, points=part, closed=False) for part in kept if len(part) > 1]
        return replace(self, strokes=tuple(strokes))

    def unfinished(self, fraction: float) -> "Drawing":
        """The first `fraction` (0 to 1) of the drawing by length, the last stroke cut where the pen is."""
        if fraction >= 1:
            return self
        left = fraction * self.length
        strokes: list[Stroke] = []
        for stroke in self.strokes:
            length = stroke.length
            if length > left:
                return replace(self, strokes=(*strokes, stroke.cut(left)) if left > 0 else tuple(strokes))
            strokes.append(stroke)
            left -= length
        return self

    @property
    def has_silhouette(self) -> bool:
        """Whether an outline is closed."""
        return any(stroke.kind == "outline" and stroke.closed for stroke in self.strokes)

    def mask(self) -> Sheet:
        """H×W uint8: 255 inside the object (outlines without their holes), all 255 when no outline is closed."""
        width, height = self.size
        mask = np.zeros((height, width), np.uint8)
        for kind, value in (("outline", 255), ("hole", 0)):
            for stroke in self.strokes:
                if stroke.kind == kind and stroke.closed:
                    cv2.fillPoly(mask, [fixed_point(stroke.points)], value, shift=SHIFT)
        return mask if mask.any() else np.full_like(mask, 255)


@dataclass(frozen=True)
class Style:
    """How a drawing is inked. Lengths are pixels on a 256-pixel sheet and grow with the sheet."""

    detail: Detail = "detailed"
    width: float = 2.0  # of the pen
    width_variation: float = 0.0  # pressure: relative change of the width along a stroke
    taper: float = 0.0  # thinning towards a stroke's ends, 0 (none) to 1 (to a point)
    smoothing: float = 0.0  # scale below which a stroke's own bends disappear
    wobble: float = 0.0  # smooth displacement of everything
    slip: float = 0.0  # displacement and turn of each stroke by itself
    overshoot: float = 0.0  # strokes end up to this much too late or too early
    lifts: float = 0.0  # share of corners at which the pen is lifted and set down anew
    doubled: float = 0.0  # share of strokes drawn twice
    missing: float = 0.0  # share of inner strokes left out
    tone: int = 0  # grey of the ink, 0 is black
    grain: float = 0.0  # how much the paper's grain shows through, as under a pencil

    @classmethod
    def random(cls, rng: np.random.Generator) -> Self:
        """A style from the training distribution: 30% contour, 30% main edges, 40% detailed."""
        pencil, hasty = rng.random() < 0.15, rng.random() < 0.4
        return cls(
            detail=("contour", "main", "detailed")[rng.choice(3, p=(0.3, 0.3, 0.4))],
            width=float(np.exp(rng.uniform(np.log(1.0), np.log(8.0)))),
            width_variation=rng.uniform(0.1, 0.5) if rng.random() < 0.5 else 0.0,
            taper=rng.uniform(0.3, 1.0) if rng.random() < 0.3 else 0.0,
            smoothing=rng.uniform(0.0, 8.0 if hasty else 3.0),
            wobble=rng.uniform(1.0, 4.0) if hasty else rng.uniform(0.0, 1.5),
            slip=rng.uniform(0.5, 2.0) if hasty else rng.uniform(0.0, 0.6),
            overshoot=rng.uniform(1.0, 6.0) if hasty else rng.uniform(0.0, 2.0),
            lifts=rng.uniform(0.0, 0.7) if hasty else 0.0,
            doubled=rng.uniform(0.1, 0.6) if rng.random() < 0.12 else 0.0,
            missing=rng.uniform(0.0, 0.5) if rng.random() < 0.5 else 0.0,
            tone=int(rng.integers(40, 130)) if pencil else int(rng.integers(0, 40)),
            grain=rng.uniform(0.1, 0.5) if pencil else 0.0,
        )


CANONICAL = Style()
"""Clean and detailed, in an even black 2-pixel pen: F's target."""


def ink(drawing: Drawing, style: Style, rng: np.random.Generator) -> Sheet:
    """The drawing on paper: H×W uint8, 255 is paper, antialiased."""
    return ink_alike(drawing, (style,), rng)[0]


def ink_alike(drawing: Drawing, styles: Sequence[Style], rng: np.random.Generator) -> list[Sheet]:
    """The drawing in the pen of each of `styles`, as `ink` does: the same lines each time, by the hand of the first."""
    hand, (width, height) = styles[0], drawing.size
    unit = max(drawing.size) / REFERENCE
    paths = _chosen(drawing, hand, rng)
    if not paths:
        return [np.full((height, width), 255, np.uint8) for _ in styles]
    points, first, last = _joined(paths, hand, rng)
    points = _smoothed(points, first, last, hand.smoothing * unit)
    points = _by_hand(points, first, last, hand, unit, max(drawing.size), rng)
    sheets = []
    for pen in styles:
        widths = _widths(points, first, last, pen, unit, rng)
        coverage = _rendered(points, widths, last, drawing.size)
        if pen.grain:
            noise = rng.standard_normal((height, width), np.float32)
            coverage = coverage * (1 - pen.grain * np.clip(cv2.GaussianBlur(noise, (0, 0), 0.7) + 0.5, 0, 1))
        sheets.append((255 - coverage * ((255 - pen.tone) / 255) + 0.5).astype(np.uint8))
    return sheets


def _chosen(drawing: Drawing, style: Style, rng: np.random.Generator) -> list[Points]:
    """The strokes drawn in this style, as open paths: closed ones return to their first point."""
    kinds = KINDS[style.detail]
    paths = []
    for stroke in drawing.strokes:
        inner = stroke.kind in ("edge", "detail")
        if stroke.kind not in kinds or len(stroke.points) < 2 or (inner and rng.random() < style.missing):
            continue
        points = np.concatenate([stroke.points, stroke.points[:1]]) if stroke.closed else stroke.points
        paths += [points] * (2 if rng.random() < style.doubled else 1)
    return paths


def _joined(paths: list[Points], style: Style, rng: np.random.Generator) -> tuple[Points, NDArray, NDArray]:
    """All paths in one array, and where each begins and ends; they are cut at the corners where the pen is lifted."""
    points = np.concatenate(paths)
    last = np.cumsum([len(path) for path in paths]) - 1
    first = np.append(0, last[:-1] + 1)
    if style.lifts:
        before, after = points - np.roll(points, 3, 0), np.roll(points, -3, 0) - points
        cosine = (before * after).sum(1) / (np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1) + 1e-6)
        sharpest = cosine <= cv2.erode(cosine, np.ones((9, 1)))[:, 0]
        corner = np.flatnonzero(sharpest & (cosine < 0.6) & (rng.random(len(points)) < style.lifts))
        corner = corner[np.abs(corner[:, None] - np.concatenate([first, last])).min(1) > 4]
        first, last = np.sort(np.append(first, corner)), np.sort(np.append(last, corner))
        points = points[_ranges(first, last)]
        last = np.cumsum(last - first + 1) - 1
        first = np.append(0, last[:-1] + 1)
    return points, first, last


def _ranges(first: NDArray, last: NDArray) -> NDArray:
    """first[0]…last[0], first[1]…last[1], and so on, one after the other."""
    counts = last - first + 1
    return np.arange(counts.sum()) + np.repeat(first - np.cumsum(counts) + counts, counts)


def _travelled(points: Points) -> NDArray:
    """The pen's way to each point in pixels."""
    return np.append(0, np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1)))


def _smoothed(points: Points, first: NDArray, last: NDArray, scale: float) -> Points:
    """Taubin's smoothing (SIGGRAPH 1995, section 3): bends below `scale` pixels go, the size stays; ends stay put."""
    if len(points) < 3 or scale <= 0:
        return points
    inner = np.ones((len(points), 1), np.float32)
    inner[first] = inner[last] = 0
    step = np.median(np.linalg.norm(np.diff(points, axis=0), axis=1)) + 1e-3
    for _ in range(int(min((scale / step) ** 2, 40))):
        for factor in (0.5, -0.53):
            middle = np.roll(points, 1, 0) + np.roll(points, -1, 0)
            points = points + (factor * inner) * (middle / 2 - points)
    return points


def _by_hand(
    points: Points, first: NDArray, last: NDArray, style: Style, unit: float, extent: int, rng: np.random.Generator
) -> Points:
    """Inaccuracies of drawing by hand: ends missed, strokes displaced and rotated, everything wobbling smoothly."""
    counts = last - first + 1
    if style.overshoot:
        tangents = points[[last, first]] - points[[np.maximum(last - 3, first), np.minimum(first + 3, last)]]
        tangents /= np.linalg.norm(tangents, axis=2, keepdims=True) + 1e-6
        late = rng.uniform(-0.6, 1.0, (2, len(first), 1)).astype(np.float32) * style.overshoot * unit
        travelled = _travelled(points)
        lengths = travelled[last] - travelled[first]
        early = np.minimum(np.maximum(-late[..., 0], 0), lengths / 4)
        at = np.clip(
            travelled, np.repeat(travelled[first] + early[1], counts), np.repeat(travelled[last] - early[0], counts)
        )
        points = np.stack([np.interp(at, travelled, points[:, axis]) for axis in (0, 1)], 1).astype(np.float32)
        points[last] += tangents[0] * np.maximum(late[0], 0)
        points[first] += tangents[1] * np.maximum(late[1], 0)
    if style.slip:
        centre = np.repeat(np.add.reduceat(points, first) / counts[:, None], counts, axis=0)
        angle = np.repeat(rng.normal(0, 0.012 * style.slip, len(first)), counts).clip(-0.1, 0.1)
        offset = np.repeat(rng.normal(0, 0.7 * style.slip * unit, (len(first), 2)), counts, axis=0)
        turned = (points - centre)[:, ::-1] * np.stack([-angle, angle], 1)
        points = points + (turned + offset).astype(np.float32)
    if style.wobble:
        coarse, fine = (
            cv2.resize(rng.standard_normal((cells, cells, 2), np.float32), (96, 96), interpolation=cv2.INTER_CUBIC)
            for cells in (5, 14)
        )
        x, y = np.split(points * np.float32(95 / extent), 2, axis=1)
        shift = cv2.remap(0.7 * coarse + 0.3 * fine, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        points = points + style.wobble * unit * shift.reshape(-1, 2)
    return points


def _widths(
    points: Points, first: NDArray, last: NDArray, style: Style, unit: float, rng: np.random.Generator
) -> NDArray:
    """The pen's width at each point in pixels."""
    widths = np.full(len(points), style.width * unit)
    counts = last - first + 1
    travelled = _travelled(points) / unit
    if style.width_variation:
        for wavelength in (37, 90):
            phase = np.repeat(rng.uniform(0, 2 * np.pi, len(first)), counts)
            widths *= 1 + style.width_variation / 2 * np.sin(travelled * 2 * np.pi / wavelength + phase)
    if style.taper:
        start, end = np.repeat(travelled[first], counts), np.repeat(travelled[last], counts)
        reach = np.minimum(16, (end - start) / 3) + 1e-3
        to_end = np.minimum(np.minimum(travelled - start, end - travelled) / reach, 1)
        widths *= 1 - style.taper * (1 - to_end)
    return np.maximum(widths, 0.6)


def _rendered(points: Points, widths: NDArray, last: NDArray, size: tuple[int, int]) -> Sheet:
    """Coverage of each pixel by ink, H×W uint8: drawn larger without antialiasing, then averaged down."""
    scale = 4 if max(size) <= 1024 else 2 if max(size) <= 2048 else 1
    coverage = np.zeros((size[1] * scale, size[0] * scale), np.uint8)
    fixed = fixed_point(points * scale)
    # OpenCV's lines are 1, 3, 5… pixels wide for a thickness of 1, 2, 4…
    thickness = np.maximum(widths * scale // 2 * 2, 1).astype(int)
    changes = np.append(thickness[1:] != thickness[:-1], True)
    changes[last] = True
    end = np.flatnonzero(changes)
    begin = np.append(0, end[:-1] + 1)
    end = np.where(np.isin(end, last), end, end + 1)  # a run reaches the next one's first point
    for pen in np.unique(thickness[begin]):
        runs = [fixed[a : b + 1] for a, b in zip(begin, end, strict=True) if thickness[a] == pen]
        cv2.polylines(coverage, runs, False, 255, int(pen), cv2.LINE_AA if scale == 1 else cv2.LINE_8, SHIFT)
    return cv2.resize(coverage, size, interpolation=cv2.INTER_AREA)


def on_grid(points: Points) -> Points:
    """`points` rounded to 1/16 pixel: finer than a pen shows, and coarse enough to be stored in a few bytes (`compact`)
    with no other line coming back."""
    return np.ascontiguousarray(np.rint(points * GRID) / np.float32(GRID))


def fixed_point(points: Points) -> NDArray:
    """OpenCV's fixed-point coordinates, whose origin is the centre of the first pixel."""
    return np.rint((points - 0.5) * GRID).astype(np.int32)
