"""What super-resolution adds: G's photos at their full size, beside its previews enlarged to that.

Only scenes are sharp at that size; of objects, whose photos are as small as a preview, the outline's sharpness is
measured, which needs no photo to compare with.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from cyclegan import images
from cyclegan.drawing.inking import CANONICAL
from cyclegan.evaluation import metrics
from cyclegan.evaluation.held_out import HeldOut, drawn_by
from cyclegan.evaluation.metrics import Pictures
from cyclegan.evaluation.report import PHOTO_METRICS, MetricRow, Report, translated
from cyclegan.evaluation.scenes import middle
from cyclegan.images import RGBArray
from cyclegan.inference import Translator

SHOWN = 24  # objects on the sheet
COLUMNS = 2  # of objects, side by side
SCENE_METRICS = ("colour distance", "texture distance", "high-frequency ratio")


def with_full_size(report: Report, translator: Translator, held_out: HeldOut, scenes: list[RGBArray]) -> Report:
    """``report`` with rows of G at its full size, if it has a super-resolution, and a sheet: drawing, preview, photo.

    Columns: photos, G's; preview, what super-resolution starts from, enlarged; floor, real ones. ``scenes`` (H×W×3)
    have detail at that size.
    """
    side = translator.config.photo_side
    if side == translator.config.image_size:
        return report
    drawings = [drawing.resized((side, side)) for drawing in held_out.drawings]
    sheets = np.stack([drawn_by(CANONICAL, drawing) for drawing in drawings])
    photos = {
        "photos": translated(translator, sheets, "sketch_to_photo", range(len(sheets))),
        "preview": previews(translator, sheets),
        "floor": _resized(held_out.photos, side),
    }
    rises = {
        kind: float(np.nanmean([metrics.outline_rise(p, d) for p, d in zip(pictures, drawings, strict=True)]))
        for kind, pictures in photos.items()
    }
    rows = [MetricRow("full size: outline rise", 0, rises)]
    if scenes:
        rows += scene_rows(translator, scenes)
    numbers = report.numbers | {"sketch_to_photo": [*report.numbers["sketch_to_photo"], *rows]}
    shown = [
        [Image.fromarray(one[number]) for one in (sheets, photos["preview"], photos["photos"])]
        for number in range(min(SHOWN, len(sheets)))
    ]
    pairs = zip(shown[::COLUMNS], shown[1::COLUMNS], strict=False)
    sheet = images.grid([[*left, *right] for left, right in pairs], ["drawing", "preview, enlarged", "photo"] * COLUMNS)
    return replace(report, numbers=numbers, sheets=report.sheets | {"full-size.jpg": sheet})


def previews(translator: Translator, sheets: Pictures) -> Pictures:
    """The previews of N×S×S×3 ``sheets``, enlarged to the same; in the colourways of seeds 0 to N - 1."""
    small = _resized(sheets, translator.config.image_size)
    return _resized(translated(translator, small, "sketch_to_photo", range(len(small))), sheets.shape[1])


def scene_rows(translator: Translator, scenes: list[RGBArray]) -> list[MetricRow]:
    """The middle of each of ``scenes``, redrawn from its own lines and colours, against itself."""
    side = translator.config.photo_side
    squares = [images.resize(middle(scene), (side, side)) for scene in scenes]
    redrawn, small = [], []
    for square in squares:
        lines = translator.photo_to_sketch(square)
        photo, preview = (
            translator.sketch_to_photo(lines, colours=square, normalise=False, preview=one) for one in (False, True)
        )
        redrawn.append(np.asarray(photo))
        small.append(np.asarray(images.resize(preview, (side, side))))
    real = np.stack([np.asarray(square) for square in squares])
    columns = {"photos": np.stack(redrawn), "preview": np.stack(small), "floor": real}
    return [
        MetricRow(f"full size, scenes: {name}", best, {kind: compare(p, real) for kind, p in columns.items()})
        for name, (best, compare) in PHOTO_METRICS.items()
        if name in SCENE_METRICS
    ]


def _resized(pictures: Pictures, side: int) -> Pictures:
    return np.stack([np.asarray(images.resize(Image.fromarray(one), (side, side))) for one in pictures])
