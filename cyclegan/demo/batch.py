"""“Many at once”: files in, a ZIP of pictures out, one of them in memory at a time."""

from __future__ import annotations

import html
import shutil
import tempfile
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import gradio as gr
from PIL import Image

from cyclegan import images
from cyclegan.demo.menu import Menu
from cyclegan.demo.pictures import detail_of, pen_of, redrawn, safe_name, svg_of, translate, uploaded_file
from cyclegan.demo.widgets import WEB, message, remark, saving
from cyclegan.generators import Direction
from cyclegan.images import ImageError
from cyclegan.inference import DETAIL, Translator
from cyclegan.weights import WeightsError

MAX_FILES = 50
MAX_BYTES = 2 * images.MAX_FILE_BYTES  # together
GALLERY_SIZE = 8  # results in the gallery
THUMBNAIL_SIDE = 256  # pixels
ZIP_NAMES: dict[Direction, str] = {"sketch_to_photo": "photos.zip", "photo_to_sketch": "sketches.zip"}
LIMITS = (
    f"Up to {MAX_FILES} pictures, {MAX_BYTES // 10**6} MB together. You get a ZIP of PNG and, for sketches, SVG files."
)


@dataclass
class Batch:
    """How far the work is."""

    path: Path
    """The ZIP."""
    count: int
    done: int = 0
    name: str = ""
    """Of the last picture."""
    errors: list[str] = field(default_factory=list)
    """A sentence for each file that could not be used."""
    pictures: list[tuple[Image.Image, str]] = field(default_factory=list)
    """The first results, small, with their names."""

    def translated(self) -> int:
        return self.done - len(self.errors)


def translate_all(
    translator: Translator,
    direction: Direction,
    tidy: bool,
    uploads: Any,
    folder: str,
    detail: float = DETAIL,
    pen: float = 1.0,
) -> Generator[Batch, None, None]:
    """Write the results into a ZIP below Gradio's `folder`, and yield after each picture; the ZIP is whole at the end.

    What ends before, and a batch without a result, leaves no file.

    Raises:
        ImageError: no files, or too many.
    """
    if not isinstance(uploads, list) or not uploads:
        raise ImageError("There are no pictures yet; choose some first.")
    if len(uploads) > MAX_FILES:
        raise ImageError(f"These are {len(uploads)} files; {MAX_FILES} at most go at once.")
    batch = Batch(Path(tempfile.mkdtemp(dir=folder)) / ZIP_NAMES[direction], len(uploads))
    taken: set[str] = set()
    size = 0
    try:
        with ZipFile(batch.path, "w", ZIP_STORED) as archive:
            for upload in uploads:
                try:
                    source = uploaded_file(upload, folder)
                    batch.name = source.name
                    size += source.stat().st_size if source.is_file() else 0
                    if size > MAX_BYTES:
                        raise ImageError(f"“{source.name}” is beyond the {MAX_BYTES // 10**6} MB that go at once.")
                    picture = images.to_rgb(images.open_image(source))
                    result = translate(translator, picture, direction, tidy, detail).result
                except ImageError as error:  # some say “this picture”
                    batch.errors.append(str(error).replace("this picture", f"“{batch.name}”"))
                else:
                    name = safe_name(source.stem, taken)
                    with archive.open(f"{name}.png", "w") as entry:
                        redrawn(result, pen).save(entry, "PNG", compress_level=1)
                    if direction == "photo_to_sketch":
                        archive.writestr(f"{name}.svg", svg_of(result, pen))
                    if len(batch.pictures) < GALLERY_SIZE:
                        result.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
                        batch.pictures.append((result, name))
                batch.done += 1
                yield batch
        finished = bool(batch.translated())
    except BaseException:  # also when it is stopped
        finished = False
        raise
    finally:
        if not finished:
            shutil.rmtree(batch.path.parent)


def batch_panel(
    menu: Menu,
    model: gr.Dropdown,
    direction: Direction,
    tidy: gr.Checkbox,
    detail: gr.Slider,
    pen: gr.Slider,
) -> None:
    """Files, a button, a bar, a ZIP; `model` is the page's, `tidy`, `detail` and `pen` are those of the tab."""

    def begin() -> dict[Any, Any]:
        bar = '<progress aria-label="Pictures done"></progress>'
        return {
            status: f'<p class="bar">{bar} Waiting for its turn…</p>', save: gr.Button(visible=False),
            gallery: gr.Gallery(None, visible=False), **running(True),
        }  # fmt: skip

    def run(uploads: list[Any] | None, name: Any, tidied: bool, amount: Any, width: Any) -> Iterator[dict[Any, Any]]:
        try:
            translator = menu.get(name).translator
            looks = detail_of(amount), pen_of(width)
            work = translate_all(translator, direction, tidied, uploads or [], files.GRADIO_CACHE, *looks)
            with closing(work) as steps:
                for batch in steps:
                    yield {status: progress(batch)}
        except (ImageError, WeightsError) as error:
            yield {status: message(str(error)), **running(False)}
            return
        yield {
            status: remark(f"{batch.translated()} of {batch.count} pictures are done.")
            + "".join(message(sentence) for sentence in batch.errors),
            archive: str(batch.path) if batch.pictures else gr.skip(),
            save: gr.Button(visible=bool(batch.pictures)),
            gallery: gr.Gallery(batch.pictures, visible=True) if batch.pictures else gr.skip(),
            **running(False),
        }

    def running(on: bool) -> dict[Any, Any]:
        return {start: gr.Button(visible=not on), stop: gr.Button(visible=on)}

    def stopped() -> dict[Any, Any]:
        return {status: remark("Stopped; nothing was kept."), **running(False)}

    with gr.Accordion("Many at once", open=False, elem_classes="batch"):
        gr.HTML(remark(LIMITS))
        files = gr.File(file_count="multiple", show_label=False, height=160)
        with gr.Row(elem_classes="below"):
            start = gr.Button("Translate all", size="sm", variant="primary")
            stop = gr.Button("Stop", size="sm", visible=False)
            save = gr.Button("Save all (ZIP)", size="sm", visible=False)
        archive = gr.File(visible=False)
        status = gr.HTML(elem_classes="status", js_on_load=(WEB / "batch.js").read_text(encoding="utf-8"))
        gone = gr.HTML(elem_classes="alert")
        gallery = gr.Gallery(
            visible=False,
            show_label=False,
            columns=GALLERY_SIZE,
            height="auto",
            format="png",
            buttons=[],
            interactive=False,
        )
    outputs = [status, start, stop, save, archive, gallery]
    quiet: dict[str, Any] = {"outputs": outputs, "show_progress": "hidden", "api_visibility": "private"}
    begun = start.click(begin, queue=False, **quiet)
    work = begun.then(
        run, [files, model, tidy, detail, pen], preprocess=False, concurrency_id="batch", concurrency_limit=1, **quiet
    )  # one batch at a time: beside it the pictures of the other tabs wait for one of its pictures at most
    save.click(None, archive, gone, js=saving("save.js"))
    stop.click(stopped, queue=False, cancels=work, **quiet)


def progress(batch: Batch) -> str:
    """A bar and the name of the last picture, as HTML."""
    bar = f'<progress max="{batch.count}" value="{batch.done}" aria-label="Pictures done"></progress>'
    return f'<p class="bar">{bar} {batch.done} of {batch.count}: {html.escape(batch.name)}</p>'
