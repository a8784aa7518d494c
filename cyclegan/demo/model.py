"""The Model tab, from what lies beside the running weights: one calm screen (name, lead, sample sheet, scores) and
the rest behind folds: more pictures, how it learned, the settings of the training, the whole card.

All of it is optional, and may come from a stranger's repository: text is text, pictures are opened before they are
shown, and nothing is loaded from another host.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import gradio as gr
from markdown_it import MarkdownIt
from markdown_it.token import Token

from cyclegan import images
from cyclegan.demo.choice import Choice
from cyclegan.demo.menu import Menu
from cyclegan.demo.widgets import remark
from cyclegan.images import ImageError
from cyclegan.inference import Translator
from cyclegan.publishing.card import read_scores, score_tables, training_table
from cyclegan.weights import WeightsError

log = logging.getLogger(__name__)

CARD = "README.md"
SCORES = "evaluation.json"
SAMPLES = "samples"  # the name of the sample sheet, before its suffix
LEARNING = "learning"  # folder of sample grids, NAME.jpg, where NAME is the number of pictures seen until then
MAX_TEXT_BYTES = 100_000  # read of each file; a long card has 30,000
MAX_PICTURES = 24  # of each kind
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")

FRONT_MATTER = re.compile(r"\A---\r?\n.*?\n---\r?\n", re.DOTALL)
LINK = re.compile(r"https?://", re.IGNORECASE)


class CardImage(NamedTuple):
    """A picture of the folder that can be shown."""

    path: Path
    label: str


@dataclass
class Card:
    """A model card in HTML that can do no harm."""

    title: str = ""
    """Its first heading, as HTML without the tag."""
    lead: str = ""
    """Its first paragraph."""
    parts: list[str | CardImage] = field(default_factory=list)
    """All of it: HTML, and the pictures of the folder between it, each once."""


def model_tab(menu: Menu, choice: Choice) -> None:
    """What is known about the chosen model."""

    def show(name: str) -> None:
        try:
            about(menu.get(name).translator)
        except WeightsError:
            gr.HTML(remark("No weights are loaded."))

    if len(menu.names) > 1:
        gr.render(choice.chosen)(show)
    else:
        show(menu.default)


def about(translator: Translator) -> None:
    """Everything that is known about the running weights, and nothing about what is missing."""
    folder = translator.folder
    card = read_card(folder) if folder else Card()
    found = pictures(folder) if folder else []
    samples = next((picture for picture in found if picture.path.stem == SAMPLES), None)
    shown = [part.path for part in card.parts if isinstance(part, CardImage)]
    others = [picture for picture in found if picture is not samples and picture.path not in shown]
    with gr.Column(elem_classes="model"):
        lead = card.lead or to_html(translator.description)
        gr.HTML(f"<h2>{card.title or 'Model'}</h2>{lead}", padding=False)
        if samples:
            gr.Image(
                str(samples.path), show_label=False, interactive=False, buttons=["fullscreen"], elem_classes="samples"
            )
        if folder and (tables := scores(folder)):
            with gr.Accordion("Scores", open=False):
                gr.HTML(tables, padding=False)
        if others:
            with gr.Accordion("More pictures", open=False):
                for picture in others:
                    _show(picture)
        if folder and (steps := pictures(folder / LEARNING)):
            with gr.Accordion("How it learned", open=False):
                # Without a preview: Gradio would focus its thumbnail, and the page would jump there.
                gr.Gallery(
                    [(str(path), seen(path)) for path, _ in steps], columns=3, height="auto", object_fit="contain",
                    show_label=False, interactive=False, buttons=["fullscreen"], elem_classes="learning",
                )  # fmt: skip
        if table := training_table(translator.config):
            with gr.Accordion("Settings of the training", open=False):
                gr.HTML(to_html(table), padding=False)
        if card.parts:
            with gr.Accordion("The whole model card", open=False, elem_classes="card"):
                for part in card.parts:
                    _show(part) if isinstance(part, CardImage) else gr.HTML(part, padding=False)


# --- Markdown of strangers ------------------------------------------------------------------------------------------


def read_card(folder: Path) -> Card:
    """The model card of a folder of weights; an empty one if it has none."""
    card = Card()
    pending: list[Token] = []
    names: set[str] = set()

    def flush() -> None:
        if html := _render(pending):
            card.parts.append(html)
        pending.clear()

    for block in _blocks(_tokens(FRONT_MATTER.sub("", _read(folder / CARD)))):
        wanted = [image for token in block for image in _images(token)]
        pending += block
        if block[0].type == "heading_open" and not card.title:
            card.title = _render(block[1:2])
        elif block[0].type == "paragraph_open" and not card.lead and not wanted:
            card.lead = _render(block)
        for name, label in wanted:
            if name not in names and len(names) < MAX_PICTURES:
                names.add(name)
                if picture := _openable(folder / name, label) if Path(name).name == name else None:
                    flush()
                    card.parts.append(picture)
    flush()
    return card


def to_html(markdown: str) -> str:
    """Markdown of strangers → HTML without theirs, without pictures, with links to the web only."""
    return _render(_tokens(markdown))


def _tokens(markdown: str) -> list[Token]:
    return MarkdownIt("commonmark", {"html": False}).enable("table").parse(markdown)


def _blocks(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """The blocks that stand in no other one."""
    block: list[Token] = []
    for token in tokens:
        block.append(token)
        if token.level == 0 and token.nesting <= 0:
            yield block
            block = []


def _images(token: Token) -> Iterator[tuple[str, str]]:
    """(address, text) of the pictures in a block's text."""
    for child in token.children or ():
        if child.type == "image":
            yield str(child.attrs.get("src", "")), child.content


def _render(tokens: Sequence[Token]) -> str:
    for token in tokens:
        token.info = ""  # a language, of which the page makes nothing
        if token.children:
            token.children = list(_harmless(token.children))
    parser = MarkdownIt("commonmark", {"html": False})
    html = str(parser.renderer.render(list(tokens), parser.options, {})).strip()
    return html.replace("{", "&#123;").replace("$", "&#36;")  # gr.HTML fills templates in: there are none


def _harmless(children: Sequence[Token]) -> Iterator[Token]:
    """Text without its pictures and without links that lead to files or run scripts."""
    kept: list[bool] = []  # of the links that are open
    for token in children:
        if token.type == "image":
            continue
        if token.type == "link_open":
            kept.append(bool(LINK.match(str(token.attrs.get("href", "")))))
            token.attrs |= {"rel": "nofollow noopener", "target": "_blank"}
        if token.type not in ("link_open", "link_close") or kept[-1]:
            yield token
        if token.type == "link_close":
            kept.pop()


# --- files ----------------------------------------------------------------------------------------------------------


def scores(folder: Path) -> str:
    """The tables of evaluation.json as HTML, empty if there are none."""
    try:
        return to_html(score_tables(read_scores(_read(folder / SCORES) or "null")))
    except (ValueError, TypeError, KeyError, RecursionError):  # of another kind, or not ours at all
        return ""


def pictures(folder: Path) -> list[CardImage]:
    """The pictures of a folder that can be shown, by name."""
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    paths = [path for path in paths if path.suffix.lower() in PICTURE_SUFFIXES][:MAX_PICTURES]
    return [picture for path in paths if (picture := _openable(path, path.stem))]


def seen(path: Path) -> str:
    """The caption of a grid that is named by the pictures seen."""
    return f"{int(path.stem):,} pictures seen" if path.stem.isdecimal() else path.stem


def _show(picture: CardImage) -> None:
    gr.Image(str(picture.path), show_label=False, interactive=False, buttons=["fullscreen"])
    gr.HTML(remark(picture.label))


def _openable(path: Path, label: str) -> CardImage | None:
    if path.suffix.lower() not in PICTURE_SUFFIXES or not path.is_file():
        return None
    try:
        images.open_image(path)
    except ImageError as error:
        log.warning("not shown: %s", error)
        return None
    return CardImage(path, label)


def _read(path: Path) -> str:
    """The text of a file, empty if there is none."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_TEXT_BYTES).decode(errors="replace")
    except OSError:
        return ""
