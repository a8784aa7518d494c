"""Any photo → coherent lines, ranked: the drawing that F is taught to make, from outlines to every line.

A flow-based difference of Gaussians finds the lines (Kang, Lee and Chui, "Coherent Line Drawing", NPAR 2007, sections 2
and 3; with the structure tensor as flow and a soft threshold: Winnemöller, Kyprianidis and Olsen, "XDoG: An eXtended
Difference-of-Gaussians compendium including advanced image stylization", Computers & Graphics 36, 2012, sections 2.4
and 2.6). They are thinned, followed, joined over gaps and ranked; where too many lie together, the weaker ones of
them are texture.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from cyclegan.drawing.inking import KINDS, Drawing, Stroke, on_grid
from cyclegan.drawing.skeleton import pixel_paths, thinned
from cyclegan.drawing.tracing import smooth_path, trace
from cyclegan.images import to_lab

Plane = NDArray  # H×W float32

WORK_SIZE = 768  # the longer side at which lines are looked for, in pixels, as are all lengths below
TENSOR_SIGMA = 3.0
LINE_SIGMA = 1.2  # of the narrower Gaussian: lines of about two pixels
RATIO = 1.6  # of the wider Gaussian's sigma: near the Laplacian of Gaussian (Marr and Hildreth, 1980)
WIDE_WEIGHT = 0.99  # "tau": below 1, even surfaces are no lines
FLOW_SIGMA = 4.0
SHARPNESS = 320.0  # "phi" of the soft threshold, for lightness from 0 to 1
INKED = 0.75  # darker than this is line
FEWEST = 0.2  # share of the lines' length that is drawn without any detail
SHORTEST = 14
SHORTEST_OUTLINE = 44  # what the shortest line has without any detail
INHIBITION = 0.6  # of a line by others as strong, where they use up the whole budget
LONG = 60.0  # the longer a line is than this, the less it is taken for texture
FAINTEST = 0.06  # share of its strength that must be left of a line
GAP = 14.0  # longest gap between two ends that are joined
WINDOW = 49  # side of the square in which the density of lines is measured
BUDGET = 0.10  # pixels of line per pixel in that square: more is texture
DOUBLE = 5  # nearer to a silhouette than this a line is its double
SUPPORT = 0.9  # share of a silhouette where there must be lines
BORDER = 3  # nearer to the photo's border no line is drawn


def coherent_lines(photo: NDArray, size: int = WORK_SIZE) -> Drawing:
    """The lines of a photo (H×W×3 uint8 RGB) as strokes in its own pixels, those that matter most first.

    They are looked for with `size` pixels along the longer side; `at_detail` takes as many as are wanted. An object on
    a plain ground has its silhouette, the kinds "outline" and "hole", before all else.
    """
    height, width = photo.shape[:2]
    scale = size / max(height, width)
    work = (max(round(width * scale), 16), max(round(height * scale), 16))
    if work != (width, height):
        photo = cv2.resize(photo, work, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    response, contrast = flow_dog(photo)
    lines = thinned((response < INKED).astype(np.uint8))
    lines[:BORDER] = lines[-BORDER:] = lines[:, :BORDER] = lines[:, -BORDER:] = False
    outlines = _silhouette(photo, lines)
    if outlines:
        lines &= _inside(outlines, lines.shape)
    paths = joined(pixel_paths(lines, SHORTEST))
    scores = importance(paths, lines, contrast)
    ranked = [paths[index] for index in np.argsort(-scores) if scores[index] > 0]
    strokes = list(outlines)
    for path in within_budget(ranked, lines.shape):
        ring = len(path) > 20 and float(np.abs(path[0] - path[-1]).max()) <= 3
        strokes.append(Stroke(smooth_path(path, ring), "edge", ring))
    return Drawing(work, tuple(strokes)).resized((width, height))


def _silhouette(photo: NDArray, lines: NDArray[np.bool_]) -> list[Stroke]:
    """The closed outlines of an object on a plain ground; none where what parts it from the ground is no edge."""
    traced = (stroke for stroke in trace(photo).strokes if stroke.kind in KINDS["contour"])
    outlines = [replace(stroke, points=on_grid(stroke.points)) for stroke in traced]
    if not outlines:
        return []
    away = cv2.distanceTransform((~lines).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    x, y = np.concatenate([stroke.points for stroke in outlines]).T.astype(int)
    near = away[y.clip(0, len(away) - 1), x.clip(0, away.shape[1] - 1)] <= DOUBLE
    return outlines if near.mean() >= SUPPORT else []


def _inside(outlines: list[Stroke], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """H×W: inside the silhouette, and not along it, where its own outline is drawn."""
    height, width = shape
    mask = Drawing((width, height), tuple(outlines)).mask()
    for stroke in outlines:
        cv2.polylines(mask, [np.rint(stroke.points - 0.5).astype(np.int32)], stroke.closed, 0, 2 * DOUBLE)
    return mask > 0


def importance(paths: list[NDArray], lines: NDArray[np.bool_], contrast: Plane) -> NDArray:
    """How much each pixel path matters, by its strength and length; 0 for texture.

    Texture is what many lines as strong surround: inhibition by the surroundings, as in Grigorescu, Petkov and
    Westenberg, "Contour detection based on nonclassical receptive field inhibition", 2003, section III. Length counts
    less than strength, or the short strong lines that make an eye would come last.
    """
    strength = cv2.blur(contrast, (3, 3))
    surround = cv2.boxFilter(lines * strength, -1, (WINDOW, WINDOW), borderType=cv2.BORDER_REFLECT) / BUDGET
    found = []
    for path in paths:
        x, y = path[:, 0], path[:, 1]
        own = float(strength[y, x].mean()) + 1e-6
        inhibited = INHIBITION * float(surround[y, x].mean()) / own * min(1.0, np.sqrt(LONG / len(path)))
        found.append(own * len(path) ** 0.7 * (1 - inhibited) if 1 - inhibited > FAINTEST else 0.0)
    return np.array(found)


def at_detail(drawing: Drawing, detail: float) -> Drawing:
    """The strongest of ranked strokes, from 0 (outlines) to 1 (every line); silhouettes are always drawn.

    The share of the other strokes' length grows with `detail` from `FEWEST` to all, or where there are silhouettes
    from nothing; the shortest ones come last.
    """
    inner = [stroke for stroke in drawing.strokes if stroke.kind not in KINDS["contour"]]
    fewest = FEWEST if len(inner) == len(drawing.strokes) else 0.0
    left = (fewest + (1 - fewest) * detail) * sum(stroke.length for stroke in inner)
    shortest = (1 - detail) * SHORTEST_OUTLINE * max(drawing.size) / WORK_SIZE
    kept = []
    for stroke in drawing.strokes:
        if stroke.kind not in KINDS["contour"]:
            if left <= 0:
                continue
            left -= stroke.length
            if stroke.length < shortest:
                continue
        kept.append(stroke)
    return Drawing(drawing.size, tuple(kept))


def within_budget(paths: list[NDArray], shape: tuple[int, ...]) -> list[NDArray]:
    """Those of the ranked pixel paths that do not crowd the sheet where stronger ones already lie."""
    half = WINDOW // 2
    density = np.zeros((shape[0] + 2 * half, shape[1] + 2 * half), np.float32)
    kept = []
    for path in paths:
        x, y = path[:, 0].clip(0, shape[1] - 1), path[:, 1].clip(0, shape[0] - 1)
        left, top, right, bottom = x.min(), y.min(), x.max() + 1, y.max() + 1
        own = np.zeros((bottom - top + 2 * half, right - left + 2 * half), np.float32)
        own[y - top + half, x - left + half] = 1
        own = cv2.boxFilter(own, -1, (WINDOW, WINDOW), borderType=cv2.BORDER_CONSTANT)
        there = density[top : bottom + 2 * half, left : right + 2 * half]
        if (there + own)[y - top + half, x - left + half].mean() <= BUDGET:
            there += own
            kept.append(path)
    return kept


def flow_dog(photo: NDArray, passes: int = 2) -> tuple[Plane, Plane]:
    """The soft-thresholded response, 0 (line) to 1 (none), and how much darker than its surroundings each place is.

    Both H×W float32. The second pass finds the lines again in the picture with the first one's drawn into it.
    """
    light = _smooth_lightness(photo)
    seen = light
    contrast = np.zeros_like(light)
    response = np.ones_like(light)
    for number in range(passes):
        tangent = flow(light)
        across = _across(seen, tangent)
        along = _along(across, tangent)
        if number == 0:
            contrast = np.maximum(0.01 * light - along, 0)
        response = np.where(along < 0, 1 + np.tanh(SHARPNESS * along), 1).astype(np.float32)
        seen = np.minimum(seen, response * seen)
    return response, contrast


def _smooth_lightness(photo: NDArray) -> Plane:
    light = to_lab(photo)[..., 0].copy()
    for _ in range(3):
        light = np.asarray(cv2.bilateralFilter(light, -1, 12.0 / 2.55, 3.0), np.float32)
    return light / 100


def flow(light: Plane) -> NDArray[np.float32]:
    """H×W×2 (x, y): the unit tangent of the lines at each place of a lightness in [0, 1].

    The direction of least change: the minor eigenvector of the smoothed structure tensor (XDoG, section 2.6).
    """
    dx, dy = (cv2.Scharr(light, cv2.CV_32F, *d, borderType=cv2.BORDER_REFLECT) for d in ((1, 0), (0, 1)))
    xx, xy, yy = (
        cv2.GaussianBlur(p, (0, 0), TENSOR_SIGMA, borderType=cv2.BORDER_REFLECT) for p in (dx * dx, dx * dy, dy * dy)
    )
    angle = 0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2
    return np.dstack((np.cos(angle), np.sin(angle))).astype(np.float32)


def _across(light: Plane, tangent: NDArray[np.float32]) -> Plane:
    """Difference of Gaussians in the direction across the flow (Coherent Line Drawing, eq. 6)."""
    wide = RATIO * LINE_SIGMA
    reach = int(np.ceil(2.5 * wide))
    offsets = np.arange(-reach, reach + 1, dtype=np.float32)
    narrow_weights, wide_weights = (np.exp(-(offsets**2) / (2 * s * s)) for s in (LINE_SIGMA, wide))
    weights = narrow_weights / narrow_weights.sum() - WIDE_WEIGHT * wide_weights / wide_weights.sum()
    x, y = _places(light)
    total = np.zeros_like(light)
    for offset, weight in zip(offsets, weights, strict=True):
        total += np.float32(weight) * _sampled(light, x - offset * tangent[..., 1], y + offset * tangent[..., 0])
    return total


def _along(values: Plane, tangent: NDArray[np.float32]) -> Plane:
    """Gaussian mean along the flow, a pixel at a time in both directions (Coherent Line Drawing, eq. 9)."""
    total, weights = values.copy(), 1.0
    x0, y0 = _places(values)
    for sign in (1.0, -1.0):
        x, y, way = x0, y0, sign * tangent
        for step in range(1, round(2 * FLOW_SIGMA) + 1):
            x, y = x + way[..., 0], y + way[..., 1]
            weight = float(np.exp(-(step**2) / (2 * FLOW_SIGMA**2)))
            total += weight * _sampled(values, x, y)
            weights += weight
            there = cv2.remap(tangent, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT)
            same = (there * way).sum(2, keepdims=True) >= 0  # tangents have no sign of their own
            way = np.where(same, there, -there)
    return total / np.float32(weights)


def _places(plane: Plane) -> tuple[Plane, Plane]:
    y, x = np.indices(plane.shape, dtype=np.float32)
    return np.asarray(x), np.asarray(y)


def _sampled(plane: Plane, x: Plane, y: Plane) -> Plane:
    return cv2.remap(plane, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def joined(paths: list[NDArray]) -> list[NDArray]:
    """Paths whose ends lie near each other and point at each other made one, the best matches first.

    Cohesion of broken lines by proximity and good continuation, as in perceptual grouping.
    """
    if len(paths) < 2:
        return paths
    ends = np.stack([[path[0], path[-1]] for path in paths]).reshape(-1, 2).astype(np.float32)
    back = np.stack([[path[min(9, len(path) - 1)], path[max(-10, -len(path))]] for path in paths]).reshape(-1, 2)
    outward = ends - back
    outward /= np.linalg.norm(outward, axis=1, keepdims=True) + 1e-6
    way = ends[None] - ends[:, None]
    distance = np.linalg.norm(way, axis=2)
    near = np.triu((distance <= GAP) & (distance > 0), 1)
    first, second = np.nonzero(near)
    gap, apart = way[first, second], distance[first, second]
    straight_first = (gap * outward[first]).sum(1) / apart
    straight_second = -(gap * outward[second]).sum(1) / apart
    facing = -(outward[first] * outward[second]).sum(1)
    fits = (facing > 0.5) & (((straight_first > 0.6) & (straight_second > 0.6)) | (apart < 4))
    cost = apart * (3 - straight_first - straight_second)
    partner = np.full(len(ends), -1)
    for index in np.flatnonzero(fits)[np.argsort(cost[fits])]:
        one, other = first[index], second[index]
        if partner[one] < 0 and partner[other] < 0:
            partner[one], partner[other] = other, one
    return [_followed(start, paths, partner) for start in _starts(partner)]


def _starts(partner: NDArray) -> list[int]:
    """An end of each chain of paths: a free one, or in rings any."""
    seen = np.zeros(len(partner) // 2, bool)
    starts = []
    for end in (*np.flatnonzero(partner < 0), *range(len(partner))):
        if seen[end // 2]:
            continue
        starts.append(int(end))
        here = int(end)
        while here >= 0 and not seen[here // 2]:
            seen[here // 2] = True
            here = int(partner[here ^ 1])
    return starts


def _followed(start: int, paths: list[NDArray], partner: NDArray) -> NDArray:
    """The pixels of all paths that hang together with end `start`, from there on, gaps filled with straight pieces."""
    chain: list[NDArray] = []
    here, first = start, True
    while here >= 0 and (first or here != start):
        path = paths[here // 2][:: 1 if here % 2 == 0 else -1]
        if chain:
            chain.append(_between(chain[-1][-1], path[0]))
        chain.append(path)
        here, first = int(partner[here ^ 1]), False
    if here == start:
        chain.append(_between(chain[-1][-1], chain[0][0]))
    return np.concatenate(chain)


def _between(start: NDArray, end: NDArray) -> NDArray:
    """The pixels on the straight way from one pixel to another, both left out: N×2."""
    steps = int(np.abs(end - start).max())
    share = np.arange(1, steps)[:, None] / max(steps, 1)
    return np.rint(start + share * (end - start)).astype(int).reshape(-1, 2)
