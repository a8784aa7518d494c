"""Raster edges → one-pixel lines → the paths of pixels that a pen would follow."""

import cv2
import numpy as np
from numpy.typing import NDArray

THICKEST = 20  # pixels from the sides of a line to its middle
REACH = 5  # pixels: a path goes on where its line is interrupted for less
NEIGHBOURS = np.array([[1, 2, 4], [128, 0, 8], [64, 32, 16]], np.float32)  # bit of each neighbour in a thinning code


def thinned(lines: NDArray) -> NDArray:
    """The middle of `lines` (H×W, not 0 where they are), one pixel wide: what they part stays parted. H×W booleans."""
    left = (lines > 0).astype(np.uint8)
    for _ in range(THICKEST):
        before = left.sum()
        for table in THINNING:
            code = cv2.filter2D(left, cv2.CV_8U, NEIGHBOURS, borderType=cv2.BORDER_CONSTANT)
            left = np.asarray(cv2.bitwise_and(left, cv2.LUT(code, table)), np.uint8)
        if left.sum() == before:
            break
    return left > 0


def _thinning_tables() -> tuple[NDArray, NDArray]:
    """What stays (1) in the two sub-steps of Zhang and Suen's thinning (1984), by the code of the eight neighbours."""
    tables = np.ones((2, 256), np.uint8)
    for code in range(256):
        # The code's bits run clockwise from the top left; the paper's P2…P9 run clockwise from the top.
        ring = [(code >> bit) & 1 for bit in (1, 2, 3, 4, 5, 6, 7, 0)]
        north, _, east, _, south, _, west, _ = ring
        rises = sum(a < b for a, b in zip(ring, ring[1:] + ring[:1], strict=True))
        if 2 <= sum(ring) <= 6 and rises == 1:
            tables[0, code] = north & east & south | east & south & west
            tables[1, code] = north & east & west | north & south & west
    return tables[0], tables[1]


THINNING = _thinning_tables()


def _offsets(nearest: float, farthest: float) -> list[tuple[int, int, float, float]]:
    """Pixel offsets (columns, rows) at these distances, near ones first, each with its direction (x, y)."""
    grid = [(i, j) for i in range(-REACH, REACH + 1) for j in range(-REACH, REACH + 1)]
    far = sorted((np.hypot(i, j), i, j) for i, j in grid)
    return [(i, j, float(i / d), float(j / d)) for d, i, j in far if nearest <= d <= farthest]


STEPS, JUMPS = _offsets(1, 1.5), _offsets(1.6, REACH)


def pixel_paths(lines: NDArray, shortest: int) -> list[NDArray]:
    """Pixel paths (N×2, x and y) along one-pixel `lines`: straight on at crossings and over gaps of up to 4 pixels."""
    margin = REACH + 1
    padded = np.pad(lines, margin)
    width = padded.shape[1]
    neighbours = cv2.filter2D(padded.astype(np.uint8), cv2.CV_8U, np.ones((3, 3)), borderType=cv2.BORDER_CONSTANT)
    alive = dict.fromkeys(np.flatnonzero(padded).tolist())
    ends = np.flatnonzero(padded & (neighbours == 2)).tolist()

    def walk(here: int, dx: float, dy: float) -> list[int]:
        path: list[int] = []
        while True:
            options = [
                (x * dx + y * dy, here + j * width + i, x, y) for i, j, x, y in STEPS if here + j * width + i in alive
            ]
            if not options:
                ahead = 0.9 * float(np.hypot(dx, dy))
                jumps = (
                    (i, j, x, y) for i, j, x, y in JUMPS if x * dx + y * dy > ahead and here + j * width + i in alive
                )
                i, j, x, y = next(jumps, (0, 0, 0.0, 0.0))
                if not i and not j:
                    return path
                options = [(0.0, here + j * width + i, x, y)]
            _, here, x, y = max(options)
            del alive[here]
            path.append(here)
            dx, dy = 0.75 * dx + 0.25 * x, 0.75 * dy + 0.25 * y

    chains = []
    for start in (*ends, *tuple(alive)):
        if start not in alive:
            continue
        del alive[start]
        ahead = walk(start, 0, 0)
        (y, x), (next_y, next_x) = divmod(start, width), divmod(ahead[:3][-1] if ahead else start, width)
        path = [*reversed(walk(start, x - next_x, y - next_y)), start, *ahead]
        if len(path) >= shortest:
            chains.append(np.stack(np.divmod(path, width)[::-1], 1) - margin)
    return chains
