"""Photos of any kind: how well F's lines tell what they show, beside its teacher and Canny's edges; how near G comes to
them from these lines and their own colours."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from torch import nn
from tqdm import tqdm

from cyclegan import images
from cyclegan.colour.colour_map import smooth_colour_map
from cyclegan.config import ConfigError
from cyclegan.drawing.coherent_lines import at_detail, coherent_lines
from cyclegan.drawing.inking import REFERENCE, Style, ink
from cyclegan.evaluation import metrics
from cyclegan.evaluation.features import feature_distance
from cyclegan.evaluation.held_out import held_out_paths
from cyclegan.evaluation.line_metrics import LineScores, line_scores, mean_scores
from cyclegan.evaluation.report import Compare, MetricRow, Report
from cyclegan.generators import Direction
from cyclegan.images import RGBArray
from cyclegan.inference import DETAIL, Translator

SIDE = 768  # pixels along the longer side, which the line metrics are meant for
SHEET_ROWS = 8
SHEET_SIDE = 384  # pixels of a picture on the sheet
DETAILS = (0.2, DETAIL, 1.0)  # on the sheet
CANNY = (60, 140)
BEST = LineScores(recall=1, precision=1, clutter=0, dashes=0, frame=0, crisp=0)


def with_scenes(
    report: Report, translator: Translator, scenes: list[RGBArray], extractor: nn.Module | None = None
) -> Report:
    """``report`` with the line metrics of F on ``scenes`` (H×W×3 each, SIDE along the longer side), how near G comes to
    them from these lines and their own colours, and a sheet.

    Columns of the drawings: photos, F's; teacher, `coherent_lines` at the same detail; Canny. ``extractor``: as for
    `report.evaluate`.
    """
    scores: dict[str, list[LineScores]] = {"photos": [], "teacher": [], "Canny": []}
    for scene in tqdm(scenes, "scenes", disable=None, leave=False):
        drawings = {
            "photos": np.asarray(translator.photo_to_sketch(Image.fromarray(scene)).convert("L")),
            "teacher": taught(scene, DETAIL),
            "Canny": canny(scene),
        }
        for column, drawing in drawings.items():
            scores[column].append(line_scores(scene, drawing))
    means = {column: asdict(mean_scores(rows)) for column, rows in scores.items()}
    numbers = [
        MetricRow(f"scenes: {name}", best, {column: row[name] for column, row in means.items()})
        for name, best in asdict(BEST).items()
    ]
    both: dict[Direction, list[MetricRow]] = {
        "sketch_to_photo": [*report.numbers["sketch_to_photo"], *redrawn_scores(translator, scenes, extractor)],
        "photo_to_sketch": [*report.numbers["photo_to_sketch"], *numbers],
    }
    return replace(report, numbers=both, sheets=report.sheets | {"scenes.jpg": sheet(translator, scenes[:SHEET_ROWS])})


def redrawn_scores(
    translator: Translator, scenes: list[RGBArray], extractor: nn.Module | None = None
) -> list[MetricRow]:
    """How far the middle of the ``scenes``, redrawn from its own lines and smooth colours, is from itself, compared at
    the size of G's sheet. The ceiling has the smooth colours alone. Nothing for a G that takes no colours.
    """
    if not translator.config.generator.colour_map:
        return []
    size = translator.config.image_size
    photos = [middle(scene) for scene in scenes]
    redrawn = [translator.round_trip(photo, "photo_to_sketch")[1] for photo in photos]
    real, ours = (
        np.stack([np.asarray(images.resize(one, (size, size))) for one in pictures]) for pictures in (photos, redrawn)
    )
    columns = {"photos": ours, "ceiling": np.stack([smooth_colour_map(photo) for photo in real])}
    compared: dict[str, Compare] = {
        "mean difference": lambda one, other: 255 * metrics.cycle_error(one, other),
        "texture distance": metrics.texture_distance,
        "colour distance": metrics.colour_distance,
    }
    if extractor:
        compared["feature distance"] = lambda one, other: feature_distance(extractor, one, other)
    return [
        MetricRow(
            f"scenes: {name}",
            0,
            {kind: compare(pictures, real) for kind, pictures in columns.items()} | {"floor": 0.0},
        )
        for name, compare in compared.items()
    ]


def middle(scene: RGBArray) -> Image.Image:
    """The largest square in the middle of an H×W×3 ``scene``."""
    height, width = scene.shape[:2]
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    return Image.fromarray(scene).crop((left, top, left + side, top + side))


def read_scenes(folder: Path, share: float, count: int, sharp: int | None = None) -> list[RGBArray]:
    """At most ``count`` photos of ``folder`` that a ``share`` held out keeps back, SIDE pixels along the longer side.

    ``sharp``: instead, those alone that are sharp at so many pixels along the shorter side, with as many there.

    Raises:
        ConfigError: there is no folder, or none is kept back.
    """
    paths = held_out_paths(folder, "--scenes", share)[:count]
    scenes = []
    for path in paths:
        photo = images.to_rgb(images.open_image(path))
        if sharp and min(photo.size) < sharp:
            continue
        scale = sharp / min(photo.size) if sharp else SIDE / max(photo.size)
        size = (max(round(photo.width * scale), 1), max(round(photo.height * scale), 1))
        scenes.append(np.asarray(images.resize(photo, size)))
    if not paths:
        raise ConfigError(f"--scenes: {folder} has no images kept back from training; --all takes every one.")
    return scenes


def taught(scene: RGBArray, detail: float) -> RGBArray:
    """H×W: the teacher's drawing of ``scene``, in a pen of two pixels."""
    drawing = at_detail(coherent_lines(scene, max(scene.shape[:2])), detail)
    return ink(drawing, Style(width=2 * REFERENCE / max(scene.shape[:2])), np.random.default_rng(0))


def canny(scene: RGBArray) -> RGBArray:
    """H×W: Canny's edges of ``scene`` after a bilateral filter, two pixels wide."""
    grey = cv2.cvtColor(cv2.bilateralFilter(scene, 9, 75, 75), cv2.COLOR_RGB2GRAY)
    return 255 - np.asarray(cv2.dilate(cv2.Canny(grey, *CANNY), np.ones((2, 2))), np.uint8)


def sheet(translator: Translator, scenes: list[RGBArray]) -> Image.Image:
    """Each scene, its drawings in three amounts of detail, and the photo redrawn from the usual one."""
    rows = []
    for scene in scenes:
        photo = Image.fromarray(scene)
        drawings = [translator.photo_to_sketch(photo, detail) for detail in DETAILS]
        _, redrawn = translator.round_trip(photo, "photo_to_sketch")
        rows.append([images.fit_square(picture, SHEET_SIDE) for picture in (photo, *drawings, redrawn)])
    return images.grid(rows, ["photo", *(f"detail {detail:g}" for detail in DETAILS), "redrawn"])
