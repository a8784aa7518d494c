"""A run as one HTML page that needs nothing beside it: samples over time, curves, scores, settings, environment."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

from PIL import Image

from cyclegan.config import ConfigError
from cyclegan.training.checkpoint import CHECKPOINT, checkpoints
from cyclegan.training.log import ENVIRONMENT, curves, flat, read_rows
from cyclegan.training.loop import CONFIG

MAX_SHEETS, SHEET_WIDTH = 24, 1200
"""Sheets that the slider goes through, evenly from first to last; pixels of each: some 100 kB."""

SLIDER = """<input type="range" min="0" max="{last}" value="{last}" aria-label="Step" id="step">
<p>Step <output id="name"></output></p>
<img id="sheet" alt="Samples at the chosen step">
<script>
  const sheets = {sheets}
  const slider = document.getElementById("step")
  function show() {{
    document.getElementById("name").value = sheets[slider.value][0]
    document.getElementById("sheet").src = "data:image/jpeg;base64," + sheets[slider.value][1]
  }}
  slider.addEventListener("input", show)
  show()
</script>"""


def write_report(run: Path, file: Path) -> None:
    """Write the page of ``run`` to ``file``.

    Raises:
        ConfigError: there is no run, or the page cannot be written.
    """
    if not (run / CONFIG).is_file():
        raise ConfigError(f"There is no run in {run}: {CONFIG} is missing.")
    losses, speed = read_rows(run / "losses.csv"), read_rows(run / "speed.csv")
    sections = {
        "Samples": _samples(sorted((run / "samples").glob("*.jpg"))),
        "Losses": _svg(losses),
        "Held-out samples": _svg(read_rows(run / "held_out.csv")),
        "Speed": _svg(speed),
        "Scores": "".join(
            _table(_json(path), path.relative_to(run)) for path in sorted(run.glob("**/evaluation.json"))
        ),
        "Settings": _table(_json(run / CONFIG)),
        "Environment": _table(_json(run / ENVIRONMENT)),
    }
    page = Template((Path(__file__).parent / "report.html").read_text(encoding="utf-8")).substitute(
        title=html.escape(f"{run.resolve().name}: CycleGAN training"),
        summary=html.escape(_summary(run, losses, speed)),
        sections="\n".join(f"<section><h2>{name}</h2>\n{text}\n</section>" for name, text in sections.items() if text),
    )
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file} cannot be written ({error.strerror}).") from None


def _summary(run: Path, losses: Sequence[Mapping[str, float]], speed: Sequence[Mapping[str, float]]) -> str:
    config = _json(run / CONFIG)
    words = [f"Step {losses[-1]['step'] if losses else 0:,} of {config.get('steps', 0):,}"]
    if speed:
        batch, hours = config["data"]["batch"], 0.0
        before = max(0, speed[0]["step"] - config["log_every"])  # nothing is known of the speed before the first row
        for row in speed:
            if row["step"] > before:  # not again what a run repeated after a kill
                hours += (row["step"] - before) * batch / row["images_per_second"] / 3600
                before = row["step"]
        waiting = sum(row["waiting"] for row in speed) / len(speed)
        words.append(f"{speed[-1]['images_per_second']:.3g} images a second")
        words.append(f"{hours:.2g} hours of training, {waiting:.1%} of them waiting for data")
    if found := checkpoints(run / CHECKPOINT):
        words.append(f"checkpoint of {found[0].stat().st_size / 1e6:.0f} MB")
    return ", ".join(words) + "."


def _samples(paths: list[Path]) -> str:
    count = min(MAX_SHEETS, len(paths))
    chosen = [paths[round(place * (len(paths) - 1) / max(1, count - 1))] for place in range(count)]
    sheets = [(int(path.stem), _jpeg(path)) for path in chosen]
    return SLIDER.format(last=count - 1, sheets=json.dumps(sheets)) if sheets else ""


def _jpeg(path: Path) -> str:
    with Image.open(path) as sheet:
        sheet.thumbnail((SHEET_WIDTH, SHEET_WIDTH * 4))
        file = io.BytesIO()
        sheet.save(file, "JPEG", quality=85)
    return base64.b64encode(file.getvalue()).decode("ascii")


def _svg(rows: list[dict[str, float]]) -> str:
    import matplotlib as mpl

    figure = curves(rows)
    if figure is None:
        return ""
    file = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "font.family": "sans-serif"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    return text[text.index("<svg") :]  # without its XML header


def _table(values: Mapping[str, Any], source: Path | None = None) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(_text(value))}</td></tr>"
        for name, value in flat(values).items()
    )
    if not rows:
        return ""
    name = f"<p>{html.escape(str(source))}</p>" if source else ""
    return f'{name}<div class="columns"><table>{rows}</table></div>'


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else "–" if value is None else str(value)


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
