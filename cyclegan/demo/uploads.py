"""The tabs for pictures of one's own, one for each direction."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
from PIL import Image

from cyclegan import images
from cyclegan.demo.batch import batch_panel
from cyclegan.demo.choice import Choice
from cyclegan.demo.menu import Menu, Model
from cyclegan.demo.pictures import (
    BROWSERS_SHOW,
    GoneError,
    detail_of,
    pen_of,
    redrawn,
    safe_name,
    save_png,
    save_svg,
    translate,
    uploaded_file,
)
from cyclegan.demo.widgets import WEB, foot_line, message, milliseconds_since, remark, saving
from cyclegan.drawing.pen import PENS
from cyclegan.generators import Direction
from cyclegan.images import ImageError
from cyclegan.inference import DETAIL
from cyclegan.weights import WeightsError

AT_ONCE = 6
"""Uploads in work at a time, each up to 300 MB. The networks take them in turn with the frames of those who draw; one
upload after the other, each would wait a round for itself."""


class Words(NamedTuple):
    given: str
    made: str
    back: str
    source: str


PHOTO_SOURCES = (
    "Photos: NASA; Stéfan van der Walt (CC0); Martin Falbisoner, Luc Viatour (CC BY-SA 3.0); Tux Paint stamps (GPL-2)"
)
WORDS: dict[Direction, Words] = {
    "sketch_to_photo": Words("Your sketch", "Photo", "Back to a sketch", "Sketches: drawn for this page, MIT"),
    "photo_to_sketch": Words(
        "Your photo",
        "Sketch",
        "Back to a photo",
        PHOTO_SOURCES,
    ),
}


class UploadTab(NamedTuple):
    """What the page has to connect."""

    picture: gr.Image
    result: gr.Image
    edit: gr.Button
    """“Edit these lines”; seen where the result is a sketch."""


def upload_tab(
    menu: Menu, model: Model | None, choice: Choice, direction: Direction, examples: list[Path], foot: gr.HTML
) -> UploadTab:
    """Input, result and round trip side by side; the result follows the input, and the model, without a button.

    ``model``: the menu's default, None if it cannot be loaded.
    """
    words = WORDS[direction]
    sketch_first = direction == "sketch_to_photo"

    def from_photo(upload: dict[str, Any] | None, name: Any, amount: Any = DETAIL, width: Any = 1) -> dict[Any, Any]:
        return answer(upload, name, amount=amount, width=width)

    def answer(
        upload: dict[str, Any] | None, model_name: Any, tidy: bool = True, amount: Any = DETAIL, width: Any = 1
    ) -> dict[Any, Any]:
        """All that changes on the page when `upload` is the picture; `amount` of detail, `width` of the pen."""
        nothing = dict.fromkeys((result, returned, slider, paths), None)
        nothing |= {button: gr.Button(interactive=False) for button in needy}
        nothing |= {lines: None, alert: "", said: ""}
        if upload is None:
            return nothing
        folder = picture.GRADIO_CACHE
        try:
            translator = menu.get(model_name).translator
            path = uploaded_file(upload, folder)
            image = images.open_image(path)
            shown = None if image.format in BROWSERS_SHOW else path.stem
            image = images.to_rgb(image)
            start = time.perf_counter()
            factor = pen_of(width)
            translated = translate(translator, image, direction, tidy, detail_of(amount))
        except GoneError as error:
            return {alert: message(str(error))}
        except WeightsError as error:
            return {**nothing, alert: message(str(error))}
        except ImageError as error:
            return {**nothing, picture: None, alert: message(str(error))}
        took = milliseconds_since(start)
        name = safe_name(path.stem, set())
        given = save_png(image, folder, f"{name}.png") if shown else str(path)
        drawing = save_png(translated.result, folder, f"{name}-{words.made.lower()}.png")
        return {
            **({picture: given} if shown else {}),
            lines: drawing,
            **({result: drawing, slider: (given, drawing)} if sketch_first else in_ink(given, Path(drawing), factor)),
            returned: save_png(translated.returned, folder, f"{name}-back.png"),
            **{button: gr.Button(interactive=True) for button in needy},
            alert: "",
            said: remark(translated.remark),
            foot: foot_line(translator, took),
        }

    def in_ink(given: str, drawing: Path, width: float) -> dict[Any, Any]:
        """What changes with the pen: the `drawing`, a PNG in the usual one, in another beside the picture `given`."""
        with Image.open(drawing) as image:
            sketch = image.convert("RGB")
        folder = picture.GRADIO_CACHE
        made = str(drawing) if width == 1 else save_png(redrawn(sketch, width), folder, drawing.name)
        return {
            result: made, slider: (given, made), paths: save_svg(sketch, folder, f"{drawing.stem}.svg", width),
        }  # fmt: skip

    def ink_anew(upload: Any, drawing: Any, width: Any) -> dict[Any, Any]:
        """The drawing on the page in another pen: no network is asked."""
        if drawing is None:
            return {alert: gr.skip()}
        folder = picture.GRADIO_CACHE
        try:
            given, path = uploaded_file(upload, folder), uploaded_file(drawing, folder)
            images.open_image(path)
            return {alert: "", **in_ink(str(given), path, pen_of(width))}
        except ImageError as error:
            return {alert: message(str(error))}

    alert = gr.HTML(elem_classes="alert", js_on_load=(WEB / "uploads.js").read_text(encoding="utf-8"))
    kind: dict[str, Any] = {"format": "png", "interactive": False, "buttons": ["fullscreen"]}
    with gr.Row(elem_classes="pictures"):
        picture = gr.Image(
            label=words.given, type="filepath", image_mode=None, buttons=["fullscreen"],
            sources=["upload", "clipboard"] if sketch_first else ["upload", "webcam", "clipboard"],
        )  # fmt: skip
        result = gr.Image(label=words.made, **kind)
        slider = gr.ImageSlider(label=f"{words.given} | {words.made}", visible=False, **kind)
        returned = gr.Image(label=words.back, **kind)
    with gr.Row(elem_classes="below"):
        tidy = gr.Checkbox(True, label="Tidy my drawing", container=False, visible=sketch_first)
        detail = gr.Slider(
            0, 1, DETAIL, step=0.05, label="Detail", min_width=220,
            visible=not sketch_first and has_detail(model),
        )  # fmt: skip
        pen = gr.Slider(*PENS, 1, step=0.5, label="Pen width", min_width=180, visible=not sketch_first)
        compare = gr.Checkbox(False, label="Slide to compare", container=False)
        save = gr.Button(f"Save {words.made.lower()}", size="sm", interactive=False)
        save_paths = gr.Button("Save as SVG", size="sm", interactive=False, visible=not sketch_first)
        both = gr.Button("Save both", size="sm", interactive=False)
        edit = gr.Button("Edit these lines", size="sm", interactive=False, visible=not sketch_first)
    lines, paths = gr.File(visible=False), gr.File(visible=False)  # the drawing in the usual pen, and in the chosen one
    said = gr.HTML(elem_classes="said")
    needy = [save, save_paths, both, edit]

    outputs = [picture, result, returned, slider, lines, paths, *needy, alert, said, foot]
    # Without preprocessing the file arrives unopened, and what is wrong with it is said by cyclegan.images.
    run: dict[str, Any] = {
        "inputs": [picture, choice.menu, *([tidy] if sketch_first else [detail, pen])], "outputs": outputs,
        "preprocess": False, "show_progress": "hidden", "concurrency_id": "model", "concurrency_limit": AT_ONCE,
    }  # fmt: skip
    respond = answer if sketch_first else from_photo
    picture.input(respond, api_visibility="private", trigger_mode="always_last", **run)
    tidy.input(respond, api_visibility="private", trigger_mode="always_last", **run)
    detail.release(respond, api_visibility="private", trigger_mode="always_last", **run)
    run_pen = run | {"inputs": [picture, lines, pen], "outputs": [result, slider, paths, alert]}
    pen.release(ink_anew, api_visibility="private", trigger_mode="always_last", **run_pen)
    compare.input(
        lambda on: (gr.Image(visible=not on), gr.ImageSlider(visible=on)),
        compare, [result, slider], queue=False, show_progress="hidden", api_visibility="private",
    )  # fmt: skip
    save.click(None, result, alert, js=saving("save.js"))
    save_paths.click(None, paths, alert, js=saving("save.js"))
    both.click(None, [picture, result], alert, js=saving("save_both.js"))
    if examples:
        shelf = gr.Examples(
            [[str(path)] for path in examples], picture, label="Or try one of these", examples_per_page=12
        )
        gr.HTML(f'<p class="source">{words.source}</p>')
        shelf.load_input_event.then(respond, api_visibility="private", **run)
    if len(menu.names) > 1:
        followed = choice.chosen.change(respond, api_visibility="private", trigger_mode="always_last", **run)
        if not sketch_first:
            followed.then(
                lambda name: gr.Slider(visible=has_detail(menu.get(name))),
                choice.chosen, detail, queue=False, show_progress="hidden", api_visibility="private",
            )  # fmt: skip
    batch_panel(menu, choice.menu, direction, tidy, detail, pen)
    return UploadTab(picture, result, edit)


def has_detail(model: Model | None) -> bool:
    return model is not None and model.translator.config.generator.detail
