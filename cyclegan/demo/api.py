"""Endpoints for programs: a picture in, a picture out. Errors are errors, with one sentence; the page's own events are
private.

    /sketch_to_photo, /photo_to_sketch, /round_trip
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr
from PIL import Image

from cyclegan import images
from cyclegan.demo.menu import Menu
from cyclegan.demo.pictures import (
    detail_of,
    pen_of,
    redrawn,
    safe_name,
    save_png,
    seed_of,
    translate,
    uploaded_file,
)
from cyclegan.demo.uploads import AT_ONCE
from cyclegan.drawing.pen import PENS
from cyclegan.generators import Direction
from cyclegan.images import ImageError
from cyclegan.inference import BACK, DETAIL, Translator
from cyclegan.weights import WeightsError

DRAWING = "A line drawing: any pen, size and format, also photographed"
PHOTO = "A photo, of any size and format"


def api(menu: Menu) -> None:
    """The endpoints, in components that nobody sees."""

    def opened(upload: Any) -> tuple[Image.Image, str]:
        path = uploaded_file(upload, folder)
        return images.to_rgb(images.open_image(path)), safe_name(path.stem, set())

    def answered(model: Any, question: Callable[[Translator], Any]) -> Any:
        try:
            return question(menu.get(model).translator)
        except (ImageError, WeightsError) as error:
            raise gr.Error(str(error), print_exception=False) from None

    def sketch_to_photo(
        picture: Any, tidy: Any = True, seed: Any = None, colours: Any = None, model: Any = None
    ) -> str:
        """Turn a line drawing into a photo of the object.

        Args:
            picture: a line drawing: any pen, size and format, also photographed
            tidy: whether pen, paper, dark ground and place are normalised first
            seed: an integer that chooses the colours; none takes those that belong to the drawing
            colours: a photo whose colours the result takes
            model: one of the page's, by its name
        Returns:
            the photo, as PNG
        """

        def question(translator: Translator) -> str:
            drawing, name = opened(picture)
            given = opened(colours)[0] if colours is not None else None
            if given is not None and not translator.config.generator.colour_map:
                raise ImageError("These weights take no colours.")
            photo = translate(translator, drawing, "sketch_to_photo", flag_of(tidy), seed=seed_of(seed), colours=given)
            return save_png(photo.result, folder, f"{name}-photo.png")

        return answered(model, question)

    def photo_to_sketch(picture: Any, detail: Any = DETAIL, pen: Any = 1.0, model: Any = None) -> str:
        """Turn a photo into a line drawing.

        Args:
            picture: a photo of any size and format
            detail: how much is drawn, from 0, outlines, to 1, every line
            pen: how many times as wide as usual the lines are
            model: one of the page's, by its name
        Returns:
            the drawing, as PNG
        """

        def question(translator: Translator) -> str:
            photo, name = opened(picture)
            width = pen_of(pen)
            sketch = translate(translator, photo, "photo_to_sketch", detail=detail_of(detail))
            return save_png(redrawn(sketch.result, width), folder, f"{name}-sketch.png")

        return answered(model, question)

    def round_trip(
        picture: Any, direction: Any = "sketch_to_photo", tidy: Any = True, detail: Any = DETAIL, model: Any = None
    ) -> tuple[str, str]:
        """Translate a picture there and back again.

        Args:
            picture: a line drawing or a photo
            direction: the way there, sketch_to_photo or photo_to_sketch
            tidy: whether a drawing is normalised first
            detail: how much of a photo is drawn, from 0, outlines, to 1, every line
            model: one of the page's, by its name
        Returns:
            the translated picture, as PNG
            what comes back from it, as PNG
        """

        def question(translator: Translator) -> tuple[str, str]:
            given, name = opened(picture)
            result = translate(translator, given, direction_of(direction), flag_of(tidy), detail_of(detail))
            return save_png(result.result, folder, f"{name}-there.png"), save_png(
                result.returned, folder, f"{name}-back.png"
            )

        return answered(model, question)

    kind: dict[str, Any] = {"format": "png", "image_mode": None, "type": "filepath"}
    with gr.Column(visible=False):
        drawing, photo, either = (gr.Image(label=label, **kind) for label in (DRAWING, PHOTO, f"{DRAWING}, or a photo"))
        folder = drawing.GRADIO_CACHE
        tidy = gr.Checkbox(True, label="Whether pen, paper, dark ground and place are normalised first")
        seed = gr.Number(None, precision=0, label="An integer that chooses the colours; none: those of the drawing")
        colours = gr.Image(label="A photo whose colours the result takes", **kind)
        detail = gr.Slider(0, 1, DETAIL, label="How much is drawn, from 0, outlines, to 1, every line")
        pen = gr.Slider(*PENS, 1, label="How many times as wide as usual the lines are")
        ways = gr.Radio(list(BACK), value="sketch_to_photo", label="The way there")
        model = gr.Dropdown(menu.names, value=menu.default, label="One of the page's models, by its name")
        made, sketch, there, back = (
            gr.Image(label=label, interactive=False, **kind)
            for label in ("The photo", "The drawing", "The translated picture", "What comes back from it")
        )
        button = gr.Button()
    run: dict[str, Any] = {"preprocess": False, "concurrency_id": "model", "concurrency_limit": AT_ONCE}
    button.click(sketch_to_photo, [drawing, tidy, seed, colours, model], made, api_name="sketch_to_photo", **run)
    button.click(photo_to_sketch, [photo, detail, pen, model], sketch, api_name="photo_to_sketch", **run)
    button.click(round_trip, [either, ways, tidy, detail, model], [there, back], api_name="round_trip", **run)


def direction_of(value: Any) -> Direction:
    """The direction that an API caller asks for; raises ImageError if it is none."""
    for direction in BACK:
        if value == direction:
            return direction
    raise ImageError(f"The direction is one of {', '.join(BACK)}.")


def flag_of(value: Any) -> bool:
    """True or false; raises ImageError for anything else."""
    if isinstance(value, bool):
        return value
    raise ImageError("“tidy” is true or false.")
