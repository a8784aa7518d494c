"""What `evaluation` measures: pure functions of pictures, each with its formula.

`Pictures` are N×H×W×3 uint8 RGB, as they are seen and saved: rounding hides nothing of a difference that shows, and a
set of them fits in memory. `Masks` are N×H×W booleans, true on the object. Where a measure compares two sets, nothing
says that picture i of one belongs to picture i of the other, unless it is written there.
"""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from cyclegan.drawing.inking import Drawing
from cyclegan.images import to_lab

Pictures = NDArray[np.uint8]
Masks = NDArray[np.bool_]
Array = NDArray[np.float32]
HintRegion = tuple[int, Array, Masks]
"""Number of the picture, the hint's colour in CIELAB, and H×W where the object lies around it."""

NEAR_WHITE = 235  # paper and a photo's background: every channel is at least this
MID_GREY = (51, 204)  # a fifth to four fifths of white: neither ink nor paper
PROJECTIONS = 128
QUANTILES = 1024
PIXELS = 1 << 16  # of a set, for the distance of colours
PATCHES, PATCH = 64, 7  # a picture and level; pixels of a side
COARSEST = 16  # pixels of a side where the pyramid ends
COLOUR_CELL = 20  # side of the cells of CIELAB in which colours count as the same
SMALLEST_HINT = 6  # pixels: what is left between two lines shows no clean colour
RISE = (0.1, 0.9)  # of the step from paper to object
RISE_REACH, RISE_STEP = 12.0, 0.25  # pixels to either side of an outline that its profile has, and between its samples
PLATEAU = 8.0  # pixels from the outline: from there on its profile shows paper or object alone
SMALLEST_STEP = 40  # grey levels of 255 between paper and object
SHADE, AROUND, GRAIN, EDGE = 1 / 32, 1 / 13, 1 / 128, 1 / 40  # of the side: what is blurred or left out, and how far
HIGHLIGHT = 8  # of L*


def foreground(pictures: Pictures) -> Masks:
    """N×H×W: what is not near-white."""
    return pictures.min(axis=-1) < NEAR_WHITE


# --- distances of two sets -------------------------------------------------------------------------------------------


def sliced_wasserstein(points: Array, others: Array) -> float:
    """Mean over directions u of the 1-D Wasserstein distance of u·points (N×D) and u·others (M×D).

    (Rabin et al., "Wasserstein Barycenter and its Application to Texture Mixing", 2011.) In one dimension that is
    ∫|quantile − quantile| (here at 1024 places); the 128 directions are always the same.
    """
    directions = np.random.default_rng(0).standard_normal((points.shape[1], PROJECTIONS)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=0)
    first, second = (_quantiles((array @ directions).T) for array in (points, others))
    return float(np.abs(first - second).mean())


def colour_distance(pictures: Pictures, reference: Pictures) -> float:
    """Sliced Wasserstein distance of the foreground's pixels in CIELAB: everything ΔE redder gives ΔE/2."""
    return sliced_wasserstein(*(to_lab(_sampled(_foreground_pixels(p), PIXELS)) for p in (pictures, reference)))


def texture_distance(pictures: Pictures, reference: Pictures) -> float:
    """Sliced Wasserstein distance of 7×7 patches at each level of the Laplacian pyramid, the mean of the levels.

    Karras et al., "Progressive Growing of GANs", ICLR 2018, section 5. As there, a level's patches are normalised by
    their own set's mean and deviation in each channel.
    """
    levels = zip(_patches(pictures), _patches(reference), strict=True)
    return float(np.mean([sliced_wasserstein(ours, theirs) for ours, theirs in levels]))


def laplacian_pyramid(picture: NDArray) -> list[Array]:
    """What each halving of the resolution loses (Burt and Adelson, 1983), finest first, and the coarsest rest."""
    levels, rest = [], picture.astype(np.float32)
    while min(rest.shape[:2]) >= 2 * COARSEST:
        smaller = np.asarray(cv2.pyrDown(rest), np.float32)
        levels.append(rest - cv2.pyrUp(smaller, dstsize=rest.shape[1::-1]))
        rest = smaller
    return [*levels, rest]


def _patches(pictures: Pictures) -> Iterator[Array]:
    """For each level K×147 normalised patches from places chosen once for all."""
    rng = np.random.default_rng(0)
    for level in zip(*map(laplacian_pyramid, pictures), strict=True):
        windows = [sliding_window_view(picture, (PATCH, PATCH), axis=(0, 1)) for picture in level]
        places = (rng.integers(windows[0].shape[:2], size=(PATCHES, 2)) for _ in windows)
        patches = np.concatenate([window[tuple(place.T)] for window, place in zip(windows, places, strict=True)])
        patches -= patches.mean(axis=(0, 2, 3), keepdims=True)
        patches /= patches.std(axis=(0, 2, 3), keepdims=True) + 1e-6
        yield patches.reshape(len(patches), -1)


def _quantiles(values: Array) -> Array:
    ordered = np.sort(values, axis=1)
    return ordered[:, ((np.arange(QUANTILES) + 0.5) / QUANTILES * ordered.shape[1]).astype(int)]


def _sampled(rows: NDArray, count: int) -> NDArray:
    return rows if len(rows) <= count else rows[np.random.default_rng(0).integers(len(rows), size=count)]


def _foreground_pixels(pictures: Pictures) -> NDArray[np.uint8]:
    """K×3; a set of blank sheets counts as one white pixel."""
    pixels = pictures[foreground(pictures)]
    return pixels if len(pixels) else np.full((1, 3), 255, np.uint8)


# --- statistics of one set of photos ---------------------------------------------------------------------------------


def chroma(photos: Pictures) -> float:
    """Mean of √(a² + b²) over the foreground's pixels."""
    return float(np.linalg.norm(to_lab(_foreground_pixels(photos))[:, 1:], axis=1).mean())


def mean_colours(photos: Pictures) -> Array:
    """N×3: each picture's foreground's mean in CIELAB."""
    return np.stack([to_lab(_foreground_pixels(photo[None])).mean(axis=0) for photo in photos])


def colour_spread(photos: Pictures) -> float:
    """How far pictures' mean colours lie from their common mean: √ of the sum of the variances of L, a and b."""
    return float(np.sqrt(mean_colours(photos).var(axis=0).sum()))


def colour_count(photos: Pictures) -> float:
    """How many different mean colours there are: exp of the entropy of their histogram in cells of 20³ of CIELAB."""
    cells = np.floor(mean_colours(photos) / COLOUR_CELL)
    share = np.unique(cells, axis=0, return_counts=True)[1] / len(cells)
    return float(np.exp(-(share * np.log(share)).sum()))


def high_frequency(photos: Pictures) -> float:
    """Mean square of the finest Laplacian level of the grey picture (0 to 1) over the foreground."""
    seen = foreground(photos)
    finest = np.stack([laplacian_pyramid(_grey(photo) / np.float32(255))[0] for photo in photos])
    return float(np.square(finest[seen]).mean()) if seen.any() else 0.0


def shade(photos: Pictures, masks: Masks) -> float:
    """How much light and shade lies on an object: the deviation within it of L*, blurred against grain."""
    smooth = ((_lightness(photo, mask, SHADE), _inner(mask)) for photo, mask in zip(photos, masks, strict=True))
    return float(np.mean([light[inner].std() for light, inner in smooth if inner.any()] or [0.0]))


def highlights(photos: Pictures, masks: Masks) -> float:
    """Share of an object that is lighter than what lies around by 8 of L*, grain aside: gloss, and light prints."""
    shares = []
    for photo, mask in zip(photos, masks, strict=True):
        if (inner := _inner(mask)).any():
            lighter = _lightness(photo, mask, GRAIN) - _lightness(photo, mask, AROUND)
            shares.append((lighter > HIGHLIGHT)[inner].mean())
    return float(np.mean(shares or [0.0]))


def _lightness(photo: NDArray[np.uint8], mask: NDArray[np.bool_], blur: float) -> Array:
    """H×W: L* blurred by a Gaussian of ``blur`` of the side, as if there were nothing but the object."""
    inside, sigma = mask.astype(np.float32), blur * len(photo)
    light, weight = (cv2.GaussianBlur(layer, (0, 0), sigma) for layer in (to_lab(photo)[..., 0] * inside, inside))
    return np.asarray(light / np.maximum(weight, 1e-3), np.float32)


def _inner(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The object without its edge, which is dark or light by itself."""
    side = 2 * round(EDGE * len(mask)) + 1
    return cv2.erode(mask.astype(np.uint8), np.ones((side, side), np.uint8), borderValue=0) > 0


def inside_filled(pictures: Pictures, photos: Pictures, masks: Masks) -> float:
    """Share of the objects' pixels that are foreground, over the same share of the photos, picture by picture."""
    return float(foreground(pictures)[masks].mean() / max(foreground(photos)[masks].mean(), 1e-9))


def outside_clean(pictures: Pictures, masks: Masks) -> float:
    """Share of the pixels outside the objects that are near-white; 1 where there is no outside."""
    return 1 - float(foreground(pictures)[~masks].mean()) if not masks.all() else 1.0


# --- statistics of one set of drawings -------------------------------------------------------------------------------


def ink_share(drawings: Pictures) -> float:
    """Mean darkness: black lines on a tenth of the sheet give 0.1."""
    return 1 - float(np.mean([_grey(drawing).mean() for drawing in drawings])) / 255


def mid_grey_share(drawings: Pictures) -> float:
    """Share of pixels that are neither ink nor paper: smears, and the antialiased edges of every line."""
    grey = np.stack([_grey(drawing) for drawing in drawings])
    return float(((grey >= MID_GREY[0]) & (grey < MID_GREY[1])).mean())


def _grey(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)


# --- what belongs together -------------------------------------------------------------------------------------------


def cycle_error(pictures: Pictures, returned: Pictures) -> float:
    """Mean of |picture − returned|, picture by picture, in [0, 1]."""
    return float(np.mean([cv2.absdiff(one, other).mean() for one, other in zip(pictures, returned, strict=True)])) / 255


def outline_rise(photo: NDArray[np.uint8], drawing: Drawing) -> float:
    """Median distance, in pixels, in which an H×W×3 ``photo`` goes from 10% to 90% of the step from the paper to the
    object across the closed outlines of its H×W ``drawing``; nan where no outline has a step.
    """
    grey, mask = _grey(photo).astype(np.float32), drawing.mask()
    away = np.arange(-RISE_REACH, RISE_REACH + RISE_STEP, RISE_STEP, dtype=np.float32)
    rises: list[float] = []
    for stroke in drawing.strokes:
        if stroke.kind != "outline" or not stroke.closed or len(stroke.points) < 3:
            continue
        along = np.roll(stroke.points, -1, axis=0) - np.roll(stroke.points, 1, axis=0)
        normals = along[:, ::-1] * (1, -1) / np.linalg.norm(along, axis=1, keepdims=True).clip(1e-6)
        places = (stroke.points[:, None] + away[:, None] * normals[:, None] - 0.5).astype(np.float32)
        x, y = np.ascontiguousarray(places[..., 0]), np.ascontiguousarray(places[..., 1])
        profiles, inside = (
            cv2.remap(layer, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for layer in (grey, mask)
        )
        turned = inside[:, 0] > inside[:, -1]  # all from the paper to the object
        profiles[turned] = profiles[turned, ::-1]
        paper, object_ = profiles[:, away <= -PLATEAU].mean(1), profiles[:, away >= PLATEAU].mean(1)
        for profile, start, end in zip(profiles, paper, object_, strict=True):
            if abs(end - start) >= SMALLEST_STEP:
                share = (profile - start) / (end - start)
                top = int(np.argmax(share >= RISE[1]))
                bottom = np.flatnonzero(share[:top] <= RISE[0])
                rises.append(RISE_STEP * float(top - (bottom[-1] if len(bottom) else 0)))
    return float(np.median(rises)) if rises else float("nan")


def pen_change(photos: Pictures, mask: Masks) -> float:
    """Largest difference of any channel's mean over the object, 0 to 255, in photos of one drawing by several pens."""
    return float(np.ptp(photos[:, mask].mean(axis=1), axis=0).max())


def hint_regions(hinted: Pictures, bare: Pictures, masks: Masks, reach: int) -> list[HintRegion]:
    """For each coloured stroke that ``hinted`` has more than ``bare``, the object's pixels at most ``reach`` away.

    Strokes themselves are left out: a colour that stays under the pen fills nothing.
    The stroke's colour is the one farthest from white, since antialiasing pales its edges; only what lies on paper is
    looked at, since lines darken it.
    """
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    regions: list[HintRegion] = []
    for number, mask in enumerate(masks):
        marks = (hinted[number] != bare[number]).any(axis=-1) & ~foreground(bare[number])
        count, labels = cv2.connectedComponents(marks.astype(np.uint8))
        for stroke in (labels == label for label in range(1, count)):
            region = (cv2.dilate(stroke.astype(np.uint8), around) > 0) & ~marks & mask
            if stroke.sum() >= SMALLEST_HINT and region.any():
                colours = hinted[number][stroke]
                regions.append((number, to_lab(colours[colours.sum(axis=1, dtype=int).argmin()]), region))
    return regions


def hint_distance(photos: Pictures, regions: Sequence[HintRegion]) -> float:
    """Mean CIELAB distance (CIE 1976) of the pixels around a hint from its colour: the mean of at least one hint."""
    distances = [
        np.linalg.norm(to_lab(photos[number][region]) - colour, axis=1).mean() for number, colour, region in regions
    ]
    return float(np.mean(distances))
