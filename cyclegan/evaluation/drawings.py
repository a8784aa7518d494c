"""The same drawings in every report: in six colours, in every pen, and stroke by stroke as they are drawn live."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from cyclegan import images
from cyclegan.colour.hints import with_colour_stroke
from cyclegan.colour.palettes import PALETTE
from cyclegan.config import ConfigError
from cyclegan.drawing.inking import CANONICAL, Drawing, Stroke
from cyclegan.evaluation import metrics
from cyclegan.evaluation.held_out import drawn_by
from cyclegan.evaluation.metrics import Pictures
from cyclegan.evaluation.report import PENS, MetricRow, Report, normalised_first, translated
from cyclegan.inference import Translator

CANVAS = 512  # pixels: the side of the sheet that the strokes were drawn on
STAGES = np.arange(1, 17) / 16  # how much of a drawing is there
JUDGED = STAGES >= 0.25  # before, there is hardly anything to be steady about
SEEDS = 3  # photos of each drawing without colours
SHOWN = 6  # drawings on the sheets of pens and stages


@dataclass(frozen=True)
class Replay:
    """A drawing at every stage, and its photos: 16×S×S×3 uint8 each."""

    sheets: Pictures
    photos: Pictures

    def jump(self) -> float:
        """Largest change of any channel's mean from one stage to the next, 0 to 255, over the finished object."""
        object_ = metrics.foreground(self.photos[-1:])[0]
        means = self.photos[JUDGED][:, object_].mean(axis=1)
        return float(np.abs(np.diff(means, axis=0)).max()) if object_.any() else 0.0

    def progress(self) -> float:
        """Share of the stages that bring the photo no farther from the finished one, in mean absolute difference."""
        away = np.abs(self.photos.astype(np.int16) - self.photos[-1]).mean(axis=(1, 2, 3))
        return float((np.diff(away) <= 0).mean())


def read_drawings(folder: Path, size: int) -> dict[str, Drawing]:
    """Drawings by name: ``folder``'s JSON files of strokes on the page's canvas, on sheets of ``size`` pixels.

    Raises:
        ConfigError: there are none, or one holds something else.
    """
    found: dict[str, Drawing] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            strokes = [_stroke(stroke["points"]) for stroke in json.loads(path.read_text("utf-8"))]
            found[path.stem] = Drawing((CANVAS, CANVAS), tuple(strokes)).resized((size, size))
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            raise ConfigError(f"--drawings: {path.name} holds no strokes of the page's canvas.") from None
    if not found:
        raise ConfigError(f"--drawings: there are no drawings (*.json) in {folder}.")
    return found


def _stroke(points: list[list[float]]) -> Stroke:
    """A stroke from points [x, y] or [x, y, pressure]."""
    return Stroke(np.array([point[:2] for point in points], np.float32).reshape(-1, 2), "edge")


def with_drawings(report: Report, translator: Translator, drawings: dict[str, Drawing]) -> Report:
    """``report`` and what the drawings add: three sheets, and how much pens and unfinished lines change the photo."""
    drawn = [_in_pens(drawing) for drawing in drawings.values()]
    pens = [_photos(translator, sheets, seed) for seed, sheets in enumerate(drawn)]
    tidy = [normalised_first(translator, sheets, [seed] * len(sheets)) for seed, sheets in enumerate(drawn)]
    changes = {
        kind: float(np.mean([_pen_change(p) for p in photos]))
        for kind, photos in (("lines", pens), ("normalised", tidy))
    }
    replays = [_replayed(translator, drawing, seed) for seed, drawing in enumerate(drawings.values())]
    numbers = [
        MetricRow("drawings: colour change by pen", 0, changes),
        MetricRow("drawings: jump while drawn", 0, {"lines": float(np.mean([r.jump() for r in replays]))}),
        MetricRow("drawings: progress while drawn", 1, {"lines": float(np.mean([r.progress() for r in replays]))}),
    ]
    stages = slice(1, None, 2)
    strips = [strip[stages] for replay in replays[:SHOWN] for strip in (replay.sheets, replay.photos)]
    sheets = {
        "drawings.jpg": _coloured(translator, drawings),
        "pens.jpg": _rows(pens[:SHOWN], [f"{pen} px" for pen in PENS]),
        "replay.jpg": _rows(strips, [f"{100 * stage:.0f}%" for stage in STAGES[stages]]),
    }
    both = report.numbers | {"sketch_to_photo": [*report.numbers["sketch_to_photo"], *numbers]}
    return replace(report, numbers=both, sheets=report.sheets | sheets)


def _in_pens(drawing: Drawing) -> Pictures:
    return np.stack([drawn_by(replace(CANONICAL, width=float(pen)), drawing) for pen in PENS])


def _pen_change(photos: Pictures) -> float:
    """`metrics.pen_change` over what is object in most of the photos."""
    return metrics.pen_change(photos, metrics.foreground(photos).mean(axis=0) > 0.5)


def _replayed(translator: Translator, drawing: Drawing, seed: int) -> Replay:
    sheets = np.stack([drawn_by(CANONICAL, drawing.unfinished(stage)) for stage in STAGES])
    return Replay(sheets, _photos(translator, sheets, seed))


def _photos(translator: Translator, sheets: Pictures, seed: int) -> Pictures:
    return translated(translator, sheets, "sketch_to_photo", [seed] * len(sheets))


def _coloured(translator: Translator, drawings: dict[str, Drawing]) -> Image.Image:
    """Each drawing, photos in some colourways and, for weights with colour hints, with a stroke of each colour."""
    palette = PALETTE if translator.config.colour_hints else {}
    rows = []
    for number, drawing in enumerate(drawings.values()):
        sheet = drawn_by(CANONICAL, drawing)
        sheets = np.stack([sheet] * SEEDS + [with_colour_stroke(sheet, colour) for colour in palette.values()])
        photos = translated(translator, sheets, "sketch_to_photo", range(number, number + len(sheets)))
        rows.append(np.concatenate([sheet[None], photos]))
    return _rows(rows, ["drawing", "photo", *[""] * (SEEDS - 1), *palette])


def _rows(rows: list[Pictures], labels: list[str]) -> Image.Image:
    return images.grid([[Image.fromarray(picture) for picture in row] for row in rows], labels)
