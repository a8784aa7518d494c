"""The Model tab: what lies beside the running weights. Card, scores, curves, sample grids, how it learned.

All of it is optional, and may come from a stranger's repository: text is text, pictures are opened before they are
shown, and nothing is loaded from another host.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import gradio as gr

from cyclegan import images
from cyclegan.images import ImageError
from cyclegan.inference import Translator
from cyclegan.publishing.card import read_scores, score_tables, training_table
from demo.widgets import remark

log = logging.getLogger(__name__)

CARD = "README.md"
SCORES = "evaluation.json"
LEARNING = "learning"  # folder of sample grids, NAME.jpg, where NAME is the number of pictures seen until then
MAX_TEXT_BYTES = 500_000
MAX_PICTURES = 24  # of each kind
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")

FRONT_MATTER = re.compile(r"\A---\r?\n.*?\n---\r?\n", re.DOTALL)
PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)\s]*)[^)]*\)")
TAG = re.compile(r"<(?=[A-Za-z/!?])")  # where HTML could begin
DEAD_LINK = re.compile(r"\[([^\]]*)\]\((?!https?://|#)[^)]*\)")  # to a file that the page does not serve
DIAGRAM = re.compile(r"([`~]{3,})\s*mermaid", re.IGNORECASE)  # may load pictures


class Picture(NamedTuple):
    """A picture of the folder that can be shown."""

    path: Path
    label: str


def model_tab(translator: Translator | None) -> None:
    """Everything that is known about the running weights, and nothing about what is missing."""
    if translator is None:
        gr.HTML(remark("No weights are loaded."))
        return
    folder = translator.folder
    parts = list(card(folder)) if folder else []
    with gr.Column(elem_classes="model"):
        if not parts:
            gr.Markdown(f"## Model\n\n{safe(translator.description)}", latex_delimiters=[])
        for part in parts:
            _show(part) if isinstance(part, Picture) else gr.Markdown(part, latex_delimiters=[])
        if folder:
            if not any("## Scores" in part for part in parts if isinstance(part, str)) and (tables := scores(folder)):
                gr.Markdown(f"## Scores\n\n{tables}", latex_delimiters=[])
            shown = {part.path for part in parts if isinstance(part, Picture)}
            for picture in pictures(folder):
                if picture.path not in shown:
                    _show(picture)
            if steps := pictures(folder / LEARNING):
                gr.Markdown("## Watch it learn")
                gr.Gallery(
                    [(str(path), seen(path)) for path, _ in steps], preview=True, selected_index=len(steps) - 1,
                    object_fit="contain", show_label=False, interactive=False, buttons=["fullscreen"],
                    elem_classes="learning",
                )  # fmt: skip
        if table := training_table(translator.config):
            with gr.Accordion("Settings of the training", open=False):
                gr.Markdown(safe(table), latex_delimiters=[])


def card(folder: Path) -> Iterator[str | Picture]:
    """The model card in pieces: Markdown that can do no harm, and the pictures of the folder between it."""
    pieces = PICTURE.split(FRONT_MATTER.sub("", _read(folder / CARD)))  # text, label, address, text, …
    for text, label, address in zip(pieces[::3], [*pieces[1::3], ""], [*pieces[2::3], ""], strict=True):
        if text.strip():
            yield safe(text)
        if picture := _openable(folder / address, label) if Path(address).name == address else None:
            yield picture


def safe(markdown: str) -> str:
    """Markdown of strangers without HTML, pictures, diagrams and links to files."""
    text = TAG.sub("<\u200b", markdown)  # a space of no width ends what could have been a tag
    return DIAGRAM.sub(r"\1", DEAD_LINK.sub(r"\1", text.replace("![", "[")))


def scores(folder: Path) -> str:
    """The tables of evaluation.json as Markdown, empty if there are none."""
    try:
        return safe(score_tables(read_scores(_read(folder / SCORES) or "null")))
    except (ValueError, TypeError, KeyError, RecursionError):  # of another kind, or not ours at all
        return ""


def pictures(folder: Path) -> list[Picture]:
    """The pictures of a folder that can be shown, by name."""
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    paths = [path for path in paths if path.suffix.lower() in PICTURE_SUFFIXES][:MAX_PICTURES]
    return [picture for path in paths if (picture := _openable(path, path.stem))]


def seen(path: Path) -> str:
    """The caption of a grid that is named by the pictures seen."""
    return f"{int(path.stem):,} pictures seen" if path.stem.isdecimal() else path.stem


def _show(picture: Picture) -> None:
    gr.Image(str(picture.path), show_label=False, interactive=False, buttons=["fullscreen"])
    gr.HTML(remark(picture.label))


def _openable(path: Path, label: str) -> Picture | None:
    if path.suffix.lower() not in PICTURE_SUFFIXES or not path.is_file():
        return None
    try:
        images.open_image(path)
    except ImageError as error:
        log.warning("not shown: %s", error)
        return None
    return Picture(path, label)


def _read(path: Path) -> str:
    """The text of a file, empty if there is none."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_TEXT_BYTES).decode(errors="replace")
    except OSError:
        return ""
