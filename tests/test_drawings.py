"""The fixed drawings of every report: read strictly, measured by numbers worked by hand, shown on three sheets."""

import json
from pathlib import Path

import numpy as np
import pytest

from cyclegan.config import ConfigError
from cyclegan.evaluation.drawings import STAGES, Replay, read_drawings, with_drawings
from cyclegan.evaluation.report import Report
from cyclegan.inference import Translator

SQUARE = [
    {"width": 4, "points": [[100, 100], [400, 100], [400, 400, 0.7]]},
    {"width": 4, "points": [[100, 100], [100, 400]]},
]


def sheets(*greys: int) -> np.ndarray:
    """Sixteen sheets with a square of the last sixteen greys given, the first repeated before them."""
    every = [greys[0]] * (len(STAGES) - len(greys)) + list(greys)
    pictures = np.full((len(STAGES), 8, 8, 3), 255, np.uint8)
    for picture, grey in zip(pictures, every, strict=True):
        picture[2:6, 2:6] = grey
    return pictures


def test_strokes_become_drawings_on_the_models_sheet(tmp_path: Path) -> None:
    (tmp_path / "square.json").write_text(json.dumps(SQUARE))
    (drawing,) = read_drawings(tmp_path, 64).values()
    assert drawing.size == (64, 64)
    assert drawing.length == pytest.approx((300 + 300 + 300) / 8)
    assert drawing.strokes[0].points[1].tolist() == [50, 12.5]


@pytest.mark.parametrize("text", ["", "[1]", "[{}]", '[{"points": [["a", 1]]}]', '{"points": 3}'])
def test_what_holds_no_strokes_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(ConfigError, match=r"--drawings: bad\.json holds no strokes"):
        read_drawings(tmp_path, 64)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there are no drawings"):
        read_drawings(tmp_path, 64)


def test_a_replay_that_flickers_jumps_and_one_that_builds_up_makes_progress() -> None:
    steady = Replay(sheets(255), sheets(110, 108, 106, 104, 102, 100))
    assert steady.jump() == pytest.approx(2)
    assert steady.progress() == 1
    flickering = Replay(sheets(255), sheets(100, 0, 100, 100))
    assert flickering.jump() == pytest.approx(100)
    assert flickering.progress() == pytest.approx(14 / 15)


def test_the_report_gains_three_numbers_and_three_sheets(tmp_path: Path, weights_folder: Path) -> None:
    (tmp_path / "square.json").write_text(json.dumps(SQUARE))
    translator = Translator.from_pretrained(weights_folder)
    report = Report("tiny", 0, 0, {"sketch_to_photo": [], "photo_to_sketch": []}, {})
    more = with_drawings(report, translator, read_drawings(tmp_path, 64))
    assert [number.name.partition(": ")[2] for number in more.numbers["sketch_to_photo"]] == [
        "colour change by pen",
        "jump while drawn",
        "progress while drawn",
    ]
    assert all(np.isfinite(number.columns["lines"]) for number in more.numbers["sketch_to_photo"])
    assert set(more.sheets) == {"drawings.jpg", "pens.jpg", "replay.jpg"}
    assert more.sheets["replay.jpg"].width > 8 * 64
