"""How good a pair of generators is: numbers, and sheets to look at, on images that they were not trained on.

Every number stands beside its floor and its ceiling. Floor: photos, or drawings traced from photos, in the place of
generated ones: no generated one can be asked to come nearer. Ceiling: the input in the place of the result; a network
can do worse than that. Pictures are rounded to 8 bits, as they are when they are saved.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from cyclegan import images
from cyclegan.drawing.inking import CANONICAL, REFERENCE
from cyclegan.drawing.normalise import normalise
from cyclegan.evaluation import metrics
from cyclegan.evaluation.features import fid, kid
from cyclegan.evaluation.held_out import HeldOut, drawn_by
from cyclegan.evaluation.metrics import Pictures
from cyclegan.generators import Direction
from cyclegan.inference import Translator

BATCH = 8
PENS = range(1, 9)  # pixels on a sheet of 256
PEN_DRAWINGS = 16  # each is drawn with every pen
HINT_REACH = 12  # pixels on a sheet of 256: so far around a hint its colour is looked for
SHOWN = 12  # rows of a sheet to look at

Columns = dict[str, Pictures]
"""Pictures by the kind of input that they were made from, or "floor" or "ceiling"."""
Compare = Callable[[Pictures, Pictures], float]


def ratio(statistic: Callable[[Pictures], float]) -> Compare:
    """``statistic`` of the pictures over that of the reference."""
    return lambda pictures, reference: statistic(pictures) / max(statistic(reference), 1e-9)


PHOTO_METRICS: dict[str, tuple[int, Compare]] = {  # the value to come near to, and how to get it
    "colour distance": (0, metrics.colour_distance),
    "texture distance": (0, metrics.texture_distance),
    "chroma ratio": (1, ratio(metrics.chroma)),
    "colour spread ratio": (1, ratio(metrics.colour_spread)),
    "colour count ratio": (1, ratio(metrics.colour_count)),
    "high-frequency ratio": (1, ratio(metrics.high_frequency)),
}
DRAWING_METRICS: dict[str, tuple[int, Compare]] = {
    "texture distance": (0, metrics.texture_distance),
    "ink ratio": (1, ratio(metrics.ink_share)),
    "mid-grey ratio": (1, ratio(metrics.mid_grey_share)),
}
FEATURE_METRICS: dict[str, Callable[[Tensor, Tensor], float]] = {"KID ×1000": kid, "FID": fid}


@dataclass(frozen=True)
class MetricRow:
    """One row of a table: a metric for each kind of input, its floor and its ceiling."""

    name: str
    best: int
    """The value to come near to: 0 or 1."""
    columns: dict[str, float]


@dataclass(frozen=True)
class Report:
    """The result of an evaluation."""

    weights: str
    photos: int
    sketches: int
    numbers: dict[Direction, list[MetricRow]]
    sheets: dict[str, Image.Image]
    """To look at, by file name."""

    def table(self) -> str:
        """Both directions for a terminal; a dash where a measure does not apply."""
        return "\n\n".join(_table(direction, numbers) for direction, numbers in self.numbers.items())

    def save(self, folder: Path) -> None:
        """Write ``evaluation.json`` and the sheets."""
        folder.mkdir(parents=True, exist_ok=True)
        numbers: dict[str, dict[str, dict[str, float]]] = {
            direction: {
                row.name: {"best": row.best, **{kind: round(value, 5) for kind, value in row.columns.items()}}
                for row in rows
            }
            for direction, rows in self.numbers.items()
        }
        content = {"weights": self.weights, "photos": self.photos, "sketches": self.sketches, **numbers}
        text = json.dumps(content, indent=2, ensure_ascii=False)
        (folder / "evaluation.json").write_text(text + "\n", encoding="utf-8")
        for name, sheet in self.sheets.items():
            sheet.save(folder / name, quality=90)


def evaluate(translator: Translator, held_out: HeldOut, extractor: nn.Module | None = None) -> Report:
    """Measure both directions. ``extractor``: B×3×S×S uint8 → B×D features for KID and FID; None leaves these out."""
    photo_numbers, photo_sheets = sketch_to_photo(translator, held_out, extractor)
    drawing_numbers, drawing_sheets = photo_to_sketch(translator, held_out, extractor)
    return Report(
        weights=translator.description,
        photos=len(held_out.photos),
        sketches=0 if held_out.sketches is None else len(held_out.sketches),
        numbers={"sketch_to_photo": photo_numbers, "photo_to_sketch": drawing_numbers},
        sheets=photo_sheets | drawing_sheets,
    )


def sketch_to_photo(
    translator: Translator, held_out: HeldOut, extractor: nn.Module | None = None
) -> tuple[list[MetricRow], dict[str, Image.Image]]:
    """Metrics and sheets of G: from drawings in random styles, complete ones, those with hints, and others."""
    lines, photos, masks = held_out.lines, held_out.photos, held_out.masks
    inputs = {"lines": lines, "traced": held_out.traced}
    if translator.config.colour_hints:
        inputs["hints"] = held_out.hinted(photos)
    if held_out.sketches is not None:
        inputs["sketches"] = held_out.sketches
    fakes = {kind: translated(translator, sketches, "sketch_to_photo") for kind, sketches in inputs.items()}
    returned = {kind: translated(translator, fake, "photo_to_sketch") for kind, fake in fakes.items()}
    bounded = fakes | {"floor": photos, "ceiling": lines}
    numbers = _compared(bounded, held_out.others, PHOTO_METRICS, extractor)

    paired = {kind: pictures for kind, pictures in bounded.items() if kind != "sketches"}
    for name, statistic in (("shade ratio", metrics.shade), ("highlight ratio", metrics.highlights)):
        found = {kind: statistic(pictures, masks) for kind, pictures in paired.items()}
        numbers.append(MetricRow(name, 1, {kind: one / max(found["floor"], 1e-9) for kind, one in found.items()}))
    filled = {kind: metrics.inside_filled(pictures, photos, masks) for kind, pictures in paired.items()}
    clean = {kind: metrics.outside_clean(pictures, masks) for kind, pictures in paired.items()}
    asked = inputs | {"hints": lines}  # F is to give back the lines; hints are none
    errors = {kind: metrics.cycle_error(asked[kind], back) for kind, back in returned.items()}
    errors |= {"floor": 0.0, "ceiling": metrics.cycle_error(lines, np.full_like(lines, 255))}
    numbers += [
        MetricRow("inside filled", 1, filled),
        MetricRow("outside clean", 1, clean),
        MetricRow("cycle error", 0, errors),
    ]
    numbers.append(MetricRow("colour change by pen", 0, pen_changes(translator, held_out)))
    if "hints" in inputs:
        numbers += hint_distances(translator, held_out, fakes["lines"])

    columns = {"drawing": lines, "photo": fakes["lines"], "drawing again": returned["lines"]}
    if "hints" in inputs:
        columns |= {"with hints": inputs["hints"], "its photo": fakes["hints"]}
    sheets = {"sketch-to-photo.jpg": _sheet(columns | {"real photo": photos})}
    if "sketches" in inputs:
        columns = {"sketch": inputs["sketches"], "photo": fakes["sketches"], "sketch again": returned["sketches"]}
        sheets["sketches-to-photos.jpg"] = _sheet(columns)
    return numbers, sheets


def photo_to_sketch(
    translator: Translator, held_out: HeldOut, extractor: nn.Module | None = None
) -> tuple[list[MetricRow], dict[str, Image.Image]]:
    """Numbers and a sheet of F; drawings from elsewhere, where there are any, stand beside its own."""
    photos = held_out.photos
    fakes = translated(translator, photos, "photo_to_sketch")
    returned = translated(translator, fakes, "sketch_to_photo")
    columns = {"photos": fakes, "floor": held_out.traced, "ceiling": photos}
    if held_out.sketches is not None:
        columns["sketches"] = held_out.sketches
    numbers = _compared(columns, held_out.others_traced, DRAWING_METRICS, extractor)
    errors = {"photos": metrics.cycle_error(photos, returned), "floor": 0.0}
    errors["ceiling"] = metrics.cycle_error(photos, fakes)
    numbers.append(MetricRow("cycle error", 0, errors))
    shown = {"photo": photos, "drawing": fakes, "photo again": returned, "traced": held_out.traced}
    return numbers, {"photo-to-sketch.jpg": _sheet(shown)}


def pen_changes(translator: Translator, held_out: HeldOut) -> dict[str, float]:
    """Mean `metrics.pen_change` of drawings in pens of 1 to 8 px: as they are, and normalised first, as on the page.
    The ceiling is that of the drawings themselves."""
    found: dict[str, list[float]] = {"lines": [], "normalised": [], "ceiling": []}
    for drawing, mask in list(zip(held_out.drawings, held_out.masks, strict=True))[:PEN_DRAWINGS]:
        sheets = np.stack([drawn_by(replace(CANONICAL, width=float(width)), drawing) for width in PENS])
        seeds = [0] * len(sheets)
        photos = {
            "lines": translated(translator, sheets, "sketch_to_photo", seeds),
            "normalised": normalised_first(translator, sheets, seeds),
            "ceiling": sheets,
        }
        for kind, pictures in photos.items():
            found[kind].append(metrics.pen_change(pictures, mask))
    return {kind: float(np.mean(changes)) for kind, changes in found.items()} | {"floor": 0.0}


def hint_distances(translator: Translator, held_out: HeldOut, without: Pictures) -> list[MetricRow]:
    """How far the colours around hints are from theirs, and from the same ones in photos drawn ``without`` hints.

    The hints have the hues of other photos than the model could guess. Nothing, if no photo has a colour to hint at.
    """
    turned = held_out.turned()
    hinted = held_out.hinted(turned)
    reach = max(round(HINT_REACH * translator.config.image_size / REFERENCE), 1)
    regions = metrics.hint_regions(hinted, held_out.lines, held_out.masks, reach)
    if not regions:
        return []
    columns = {"lines": without, "hints": translated(translator, hinted, "sketch_to_photo")}
    columns |= {"floor": turned, "ceiling": held_out.lines}
    distances = {kind: metrics.hint_distance(photos, regions) for kind, photos in columns.items()}
    return [MetricRow("distance from hint", 0, distances)]


def translated(
    translator: Translator, sheets: Pictures, direction: Direction, seeds: Sequence[int] | None = None
) -> Pictures:
    """N×S×S×3 → the same: in batches, and rounded to 8 bits; ``seeds`` as for `Translator.translate_batch`."""
    results = []
    for start in tqdm(range(0, len(sheets), BATCH), direction, disable=None, leave=False):
        some = slice(start, start + BATCH)
        results.append(translator.translate_batch(sheets[some], direction, seeds and seeds[some]))
    return np.concatenate(results)


def normalised_first(translator: Translator, sheets: Pictures, seeds: Sequence[int]) -> Pictures:
    """As `translated`, sketch to photo, with the drawings normalised first."""
    size = translator.config.image_size
    normalised = [normalise(Image.fromarray(sheet), size) for sheet in sheets]
    seen = np.stack([np.asarray(treatment.sheet) for treatment in normalised])
    photos = translated(translator, seen, "sketch_to_photo", seeds)
    together = zip(normalised, photos, strict=True)
    return np.stack([np.asarray(treatment.put_back(Image.fromarray(photo))) for treatment, photo in together])


def _compared(
    columns: Columns, reference: Pictures, compared: dict[str, tuple[int, Compare]], extractor: nn.Module | None
) -> list[MetricRow]:
    """Numbers that hold two sets against each other."""
    numbers = [
        MetricRow(name, best, {kind: compare(pictures, reference) for kind, pictures in columns.items()})
        for name, (best, compare) in compared.items()
    ]
    if extractor:
        target = _features(extractor, reference)
        features = {kind: _features(extractor, pictures) for kind, pictures in columns.items()}
        for name, distance in FEATURE_METRICS.items():
            numbers.append(MetricRow(name, 0, {kind: distance(values, target) for kind, values in features.items()}))
    return numbers


@torch.inference_mode()
def _features(extractor: nn.Module, pictures: Pictures) -> Tensor:
    batches = torch.from_numpy(pictures).permute(0, 3, 1, 2).split(BATCH)
    return torch.cat([extractor(batch) for batch in batches])


def _sheet(columns: Columns) -> Image.Image:
    rows = zip(*(pictures[:SHOWN] for pictures in columns.values()), strict=True)
    return images.grid([[Image.fromarray(picture) for picture in row] for row in rows], list(columns))


def _table(direction: Direction, numbers: list[MetricRow]) -> str:
    kinds = list(dict.fromkeys(kind for number in numbers for kind in number.columns))
    kinds.sort(key=["floor", "ceiling"].count)  # the bounds last
    rows = [[direction.replace("_", "-"), *kinds, "best"]]
    for number in numbers:
        values = (number.columns.get(kind, math.nan) for kind in kinds)
        rows.append([number.name, *("–" if math.isnan(v) else f"{v:.3f}" for v in values), str(number.best)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    )
