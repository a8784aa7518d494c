"""The Draw tab: a canvas (web/canvas.*), the photo under the pen (web/photo.js), and more of both (web/extras.js).

The server keeps nothing between two questions: each carries its drawing with it.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from cyclegan import images
from cyclegan.colour.palettes import PALETTE
from cyclegan.demo.menu import Menu, Model
from cyclegan.demo.realism import LEGEND, Discriminators
from cyclegan.demo.timelapse import gif
from cyclegan.demo.variations import variations
from cyclegan.demo.widgets import WEB, milliseconds_since
from cyclegan.drawing.empty import EMPTY, Mask, leave_empty, without_marks
from cyclegan.drawing.normalise import NormalisedDrawing, normalise
from cyclegan.images import ImageError, square_box
from cyclegan.inference import Translator
from cyclegan.weights import WeightsError

MODULES = (  # each after those that it imports
    *("elements.js", "ink.js", "readback.js", "pointers.js", "toolbars.js", "canvas.js"),
    *("photo.js", "extras.js", "model.js", "main.js"),
)
CANVAS_SIDE = 512  # pixels, as in web/canvas.html
MAX_FRAME_CHARACTERS = 2_000_000  # of a picture's data URL; a sheet full of scribble has 400,000
MAX_FRAMES_WAITING = 48  # from all visitors together, first come, first served: some two seconds on two cores
MAX_EXTRAS = 1  # at a time, from all visitors together: nobody's pen waits long for a gallery or a film
MAX_MOMENTS = 60  # of a film
PNG_URL, JPEG_URL = "data:image/png;base64,", "data:image/jpeg;base64,"
RAINBOW = ("red", "orange", "yellow", "green", "blue", "violet")
COLOURS = {  # ink beside the black pen, for weights that understand colour
    "black": "#000000",
    **{name: "#{:02x}{:02x}{:02x}".format(*PALETTE[name]) for name in RAINBOW},
    "brown": "#7f4f24",
    "leave empty": "#{:02x}{:02x}{:02x}".format(*EMPTY),
}

Answer = dict[str, Any]


def draw_tab(menu: Menu, model: Model | None, drawings: list[Path]) -> None:
    """A canvas whose photo follows the pen: the page calls `redraw` with one frame at a time.

    ``model``: the menu's default, None if it cannot be loaded.
    """
    frames, extras = threading.BoundedSemaphore(MAX_FRAMES_WAITING), threading.BoundedSemaphore(MAX_EXTRAS)

    def answer(places: threading.BoundedSemaphore, question: Callable[[], Answer]) -> Answer:
        if not places.acquire(blocking=False):
            return {"busy": True}
        try:
            return question()
        except (ImageError, WeightsError) as error:
            return {"error": str(error)}
        finally:
            places.release()

    def model_of(frame: Any) -> Model:
        return menu.get(frame.get("model") if isinstance(frame, dict) else None)

    def redraw(frame: Any) -> Answer:
        def question() -> Answer:
            translator, discriminators = model_of(frame)
            return answer_frame(translator, frame, discriminators)

        return answer(frames, question)

    def vary(frame: Any) -> Answer:
        return answer(extras, lambda: answer_vary(model_of(frame).translator, frame))

    def film(moments: Any) -> Answer:
        return answer(extras, lambda: answer_film(moments))

    def traits(name: Any) -> Answer:
        return answer(frames, lambda: traits_of(menu.get(name)))

    has = traits_of(model)
    several = len(menu.names) > 1  # what one of them lacks is hidden while it is chosen
    examples = [{"name": path.stem, "strokes": json.loads(path.read_text(encoding="utf-8"))} for path in drawings]
    gr.HTML(
        html_template=(WEB / "canvas.html").read_text(encoding="utf-8"),
        js_on_load=(WEB / "load.js").read_text(encoding="utf-8"),
        server_functions=[redraw, vary, film, traits],
        examples=examples,
        modules=[{"name": name, "source": (WEB / name).read_text(encoding="utf-8")} for name in MODULES],
        colours=[{"name": name, "value": value} for name, value in COLOURS.items()]
        if several or has["colours"]
        else [],
        critics=several or has["critics"],
        traits=has,
        elem_id="draw",
    )


def traits_of(model: Model | None) -> Answer:
    """Which tools the canvas has with a model: colours, critics."""
    return {
        "colours": model is not None and model.translator.config.colour_hints,
        "critics": model is not None and model.discriminators is not None,
    }


# --- frames ---------------------------------------------------------------------------------------------------------


def answer_frame(translator: Translator, frame: Any, discriminators: Discriminators | None = None) -> Answer:
    """One frame of the canvas as pictures for the page. A frame is a dict of

    - image: data URL of a PNG, the drawing
    - final: is the pen up?
    - tidy: is the drawing normalised first?
    - judge: do the discriminators judge the result?
    - seed: an integer that the sheet keeps while it is drawn on: its colours, where the drawing tells none
    - model: its name on the menu, which is looked up before
    - colours: data URL of a JPEG, a photo whose colours the result takes; the drawing is of that photo, which lies in
      the middle of the sheet, as large as fits

    While the pen moves the answer is the photo alone, as JPEG, without super-resolution if that would lag behind; at
    its end the photo, the drawing made from it, the sheet that the model saw, all lossless, a remark on the
    normalisation and the discriminators' opinion. An empty drawing gives no picture.

    Raises:
        ImageError: the frame, which anyone may have made, is not one that the canvas makes.
    """
    frame = frame if isinstance(frame, dict) else {}
    drawing, empty = open_drawing(frame)
    colours = colours_of(frame, translator)
    if colours is None and drawing.convert("L").getextrema() == (255, 255):
        return {"photo": None}
    start = time.perf_counter()
    final, config = bool(frame.get("final")), translator.config
    preview = not (final or translator.follows_pen)
    side = config.image_size if preview else config.photo_side
    prepared = prepare(drawing, config.image_size, bool(frame.get("tidy")), colours, side)
    seed, sketch = seed_of(frame), prepared.sketch
    if not final:
        photo = translator.sketch_to_photo(sketch, seed, colours, normalise=False, preview=preview)
        photo = leave_empty(put_back(prepared, photo), empty)
        return {"photo": data_url(photo, "JPEG"), "took": milliseconds_since(start)}
    photo, returned = translator.round_trip(sketch, "sketch_to_photo", seed, colours=colours)
    answer = {
        "photo": data_url(leave_empty(put_back(prepared, photo), empty)),
        "returned": data_url(put_back(prepared, returned)),
        "sheet": data_url(prepared.sheet),
        "remark": prepared.remark,
        "took": milliseconds_since(start),
    }
    if frame.get("judge") and discriminators:
        of_photo, of_sketch = discriminators.opinion(photo, "photo"), discriminators.opinion(returned, "sketch")
        answer["opinion"] = {
            "photo": data_url(put_back(prepared, of_photo.overlay)),
            "returned": data_url(put_back(prepared, of_sketch.overlay)),
            "sentence": f"{of_photo.sentence} {LEGEND}",
        }
    return answer


def open_drawing(frame: Answer) -> tuple[Image.Image, Mask | None]:
    """The drawing of a frame, and which parts of it stay empty. Raises ImageError."""
    clean, empty = without_marks(np.asarray(open_frame(frame.get("image"))))
    return Image.fromarray(clean), empty


def seed_of(frame: Answer) -> int | None:
    """What the frame says its seed is, or nothing if that is no integer."""
    seed = frame.get("seed")
    return seed if isinstance(seed, int) else None


def colours_of(frame: Answer, translator: Translator) -> Image.Image | None:
    """The photo whose colours the frame asks for; None if it asks for none, or the weights take none.

    Raises ImageError.
    """
    if frame.get("colours") is None or not translator.config.generator.colour_map:
        return None
    return open_photo(frame["colours"])


def prepare(
    drawing: Image.Image, size: int, tidy: bool, colours: Image.Image | None = None, sheet_side: int | None = None
) -> NormalisedDrawing:
    """The drawing on a sheet of ``size`` × ``size`` pixels: normalised or, untidied, as it is.

    ``sheet_side`` as for `normalise`.

    A drawing of a photo, given as ``colours``, stays where that photo is.
    """
    region = square_box(*colours.size, max(drawing.size)) if colours else None
    if tidy:
        return normalise(drawing, size, region, sheet_side)
    shown = region or (0, 0, *drawing.size)
    return NormalisedDrawing(images.fit_square(drawing.crop(shown), sheet_side or size), "", shown, drawing.size)


def put_back(prepared: NormalisedDrawing, picture: Image.Image) -> Image.Image:
    """A picture of the sheet, with or without its margins, with the object where it was drawn; the very same if that is
    where it is."""
    if prepared.region == (0, 0, *prepared.size):
        return picture
    return prepared.put_back(images.fit_square(picture, prepared.sheet.width))


# --- more of them ---------------------------------------------------------------------------------------------------


def answer_vary(translator: Translator, frame: Any) -> Answer:
    """Six other photos of a frame's drawing, each with its seed and, where they are others, its drawing and colours.

    Raises ImageError.
    """
    frame = frame if isinstance(frame, dict) else {}
    colours = colours_of(frame, translator)
    drawing, empty = open_drawing(frame)
    prepared = prepare(drawing, CANVAS_SIDE, bool(frame.get("tidy")), colours)
    sketch = prepared.sketch
    return {
        "variations": [
            {
                "name": one.name,
                "seed": one.seed,
                "sketch": None if one.sketch is sketch else data_url(put_back(prepared, one.sketch)),
                "colours": one.colours and data_url(one.colours, "JPEG"),
                "photo": data_url(leave_empty(put_back(prepared, one.photo), empty)),
            }
            for one in variations(sketch, translator, seed_of(frame) or 0, colours)
        ]
    }


def answer_film(moments: Any) -> Answer:
    """A GIF of a drawing growing beside its photo.

    `moments` are pairs of data URLs: a frame of the canvas, and the photo that it was answered while the pen moved.

    Raises:
        ImageError: one of them, which anyone may have made, is something else.
    """
    if not isinstance(moments, list) or not 0 < len(moments) <= MAX_MOMENTS:
        raise ImageError(f"A film has between 1 and {MAX_MOMENTS} moments.")
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in moments):
        raise ImageError("Each moment of a film is a drawing and its photo.")
    film = gif([(open_frame(drawing), open_photo(photo)) for drawing, photo in moments])
    return {"film": "data:image/gif;base64," + base64.b64encode(film).decode("ascii")}


# --- pictures from and for the page ---------------------------------------------------------------------------------


def open_frame(url: Any) -> Image.Image:
    """The RGB picture in a data URL of the canvas; raises ImageError for anything else."""
    image = _open_url(url, "PNG", "drawing")
    if image.size != (CANVAS_SIDE, CANVAS_SIDE):
        raise ImageError(f"The drawing must be a PNG of {CANVAS_SIDE}×{CANVAS_SIDE} pixels.")
    return images.to_rgb(image)


def open_photo(url: Any) -> Image.Image:
    """The RGB picture in a data URL of a photo of the page; raises ImageError for anything else."""
    image = _open_url(url, "JPEG", "photo")
    if max(image.size) > CANVAS_SIDE:
        raise ImageError(f"The photo must be a JPEG of at most {CANVAS_SIDE} pixels a side.")
    return images.to_rgb(image)


def _open_url(url: Any, kind: str, name: str) -> Image.Image:
    head = PNG_URL if kind == "PNG" else JPEG_URL
    if not isinstance(url, str) or not url.startswith(head):
        raise ImageError(f"The {name} must come as a {kind} data URL.")
    if len(url) > MAX_FRAME_CHARACTERS:
        raise ImageError(f"The {name} is too large; clear the sheet and start again.")
    try:
        data = base64.b64decode(url.removeprefix(head), validate=True)
    except ValueError:
        raise ImageError(f"The {name} is damaged: it is not valid base64.") from None
    image = images.open_image(BytesIO(data), max_pixels=CANVAS_SIDE**2)
    if image.format != kind:
        raise ImageError(f"The {name} must be a {kind}.")
    return image


def data_url(image: Image.Image, kind: str = "PNG") -> str:
    buffer = BytesIO()
    options: dict[str, Any] = {"quality": 88, "subsampling": 0} if kind == "JPEG" else {"compress_level": 1}
    image.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
