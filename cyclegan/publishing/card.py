"""Model cards: the one that goes to the Hub with a folder of weights, and the scores in the one of this project.

    python -m cyclegan.publishing.card weights

writes the tables of evaluation.json between two marks into the folder's README.md.
"""

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from cyclegan.config import WeightsConfig

Scores = dict[str, Any]
"""The content of evaluation.json (`cyclegan.evaluation.report`)."""

DIRECTIONS = {"sketch_to_photo": "sketch → photo", "photo_to_sketch": "photo → sketch"}
MARKS = ("<!-- scores -->", "<!-- end of scores -->")
ASIDE = ("best", "floor", "ceiling")  # columns of the scores that are not the model's own

TEXT = """# {name}

Draws photos from sketches and sketches from photos: the two generators of a CycleGAN, {size}×{size} pixels.
{hints}
{samples}
## Use it

With the project that this card comes from:

```python
from PIL import Image
from cyclegan import Translator

translator = Translator.from_pretrained("{repository}")
translator.sketch_to_photo(Image.open("sketch.png")).save("photo.png")
```

The demo in the browser: `python app.py --weights {repository}`. Files are checked against the SHA-256 in `config.json`
and never run as code; `generator_G` makes photos, `generator_F` sketches.

## Data and training

{data}

{training}
## Scores

{scores}

## Limits

The model knows the kinds of objects that it was trained on, one at a time on white; other drawings get their colours
and materials. It sees {size}×{size} pixels: larger results are enlarged, not finer. What it paints is a guess, no
record of anything real.
"""


def model_card(
    repository: str,
    config: WeightsConfig,
    datasets: Sequence[str] = (),
    scores: Scores | None = None,
    samples: str = "",
    notes: str = "",
) -> ModelCard:
    """The card of weights published as ``repository``, trained on the Hub's ``datasets``, with the grid ``samples``.

    ``notes``: the README.md beside the weights; what it says under "Data" is said in the card too.
    """
    name = repository.partition("/")[2]
    data = ModelCardData(
        library_name="pytorch",
        pipeline_tag="image-to-image",
        license="other",
        license_name="research-and-demonstration",
        datasets=list(datasets) or None,
        tags=["cyclegan", "gan", "sketch", "sketch-to-image", "image-to-image"],
        model_name=name if scores else None,
        eval_results=_results(scores, datasets) if scores else None,
        thumbnail=f"https://huggingface.co/{repository}/resolve/main/{samples}" if samples else None,
    )
    text = TEXT.format(
        name=name,
        repository=repository,
        size=config.photo_side,
        hints="A stroke of colour in the sketch says what colour that part takes.\n" if config.colour_hints else "",
        samples=f"![Drawings and photos, and what the model makes of them]({samples})\n" if samples else "",
        data=_data(datasets, notes),
        training=training_table(config),
        scores=score_tables(scores) if scores else "None were measured for this card.",
    )
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text}")


def _data(datasets: Sequence[str], notes: str) -> str:
    links = [f"[{name}](https://huggingface.co/datasets/{name})" for name in datasets]
    on_hub = f"Trained on {', '.join(links)}." if links else "The data set is not on the Hub."
    said = re.search(r"^## Data\n(.*?)(?=^## |\Z)", notes, re.MULTILINE | re.DOTALL)
    return f"{on_hub}\n\n{said[1].strip()}" if said else on_hub


def training_table(config: WeightsConfig) -> str:
    """What `config.training` says, as a Markdown table; empty if it says nothing."""
    rows = [f"| {key} | {value} |" for key, value in _flat(config.training)]
    return "\n".join(["| setting | value |", "|---|---|", *rows, ""]) if rows else ""


def _flat(settings: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{path}{key}.")
        elif value is not None:
            yield f"{path}{key}", value


def score_tables(scores: Scores) -> str:
    """A Markdown table for each direction; floor: real pictures for the model's own; ceiling: its input unchanged."""
    text = [
        f"On {scores['photos']} photos that were kept back from training. Floor: real pictures in the place of made "
        "ones; ceiling: the input in the place of the result; best: the value to come near to."
    ]
    for direction, title in DIRECTIONS.items():
        rows = scores[direction]
        kinds = sorted({kind: 0 for row in rows.values() for kind in row}, key=lambda kind: kind in ASIDE)
        text += ["", f"| {title} | {' | '.join(kinds)} |", "|---" * (len(kinds) + 1) + "|"]
        text += [
            f"| {name} | {' | '.join(f'{row[k]:.3g}' if k in row else '–' for k in kinds)} |"
            for name, row in rows.items()
        ]
    return "\n".join(text)


def with_scores(card: str, scores: Scores) -> str:
    """``card`` with the tables of ``scores`` between the two marks. Raises ValueError if it has no marks."""
    before, first, rest = card.partition(MARKS[0])
    _, last, after = rest.partition(MARKS[1])
    if not (first and last):
        raise ValueError(f"the card has no {MARKS[0]} … {MARKS[1]}")
    return f"{before}{first}\n{score_tables(scores)}\n{last}{after}"


def _results(scores: Scores, datasets: Sequence[str]) -> list[EvalResult]:
    """The first column of each table as the Hub's model-index."""
    return [
        EvalResult(
            task_type="image-to-image",
            task_name=title,
            dataset_type=datasets[0] if datasets else "imagefolder",
            dataset_name=f"{scores['photos']} photos kept back from training",
            dataset_config=direction,
            metric_type=re.sub(r"\W+", "_", name.lower()).strip("_"),
            metric_name=name,
            metric_value=next(value for kind, value in row.items() if kind not in ASIDE),
        )
        for direction, title in DIRECTIONS.items()
        for name, row in scores[direction].items()
    ]


def read_scores(text: str) -> Scores:
    """Scores from the text of evaluation.json. Raises ValueError if it is of another kind."""
    scores = json.loads(text)
    tables = [scores.get(direction) for direction in DIRECTIONS] if isinstance(scores, dict) else [None]
    if not all(isinstance(table, dict) and all(isinstance(row, dict) for row in table.values()) for table in tables):
        raise ValueError("no scores")
    return scores


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "weights")
    card = folder / "README.md"
    scores = read_scores((folder / "evaluation.json").read_text(encoding="utf-8"))
    card.write_text(with_scores(card.read_text(encoding="utf-8"), scores), encoding="utf-8")
