"""The Draw tab: a canvas (web/canvas.*), the photo under the pen (web/photo.js), and more of both (web/extras.js)."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from cyclegan import images
from cyclegan.colour.palettes import PALETTE
from cyclegan.demo.data_urls import CANVAS_SIDE, data_url, open_photo
from cyclegan.demo.menu import Menu, Model
from cyclegan.demo.realism import LEGEND, Discriminators
from cyclegan.demo.sheets import Drawing, Drawings, Painting, Request
from cyclegan.demo.timelapse import gif
from cyclegan.demo.variations import Variation, variations
from cyclegan.demo.widgets import WEB, milliseconds_since
from cyclegan.drawing.empty import EMPTY, Mask, leave_empty, with_marks, without_marks
from cyclegan.drawing.normalise import NormalisedDrawing, normalise
from cyclegan.images import ImageError, square_box
from cyclegan.inference import Translator
from cyclegan.weights import WeightsError

MODULES = (  # each after those that it imports
    *("elements.js", "ink.js", "readback.js", "sending.js", "pointers.js", "toolbars.js", "canvas.js"),
    *("photo.js", "extras.js", "model.js", "main.js"),
)
MAX_FRAMES_WAITING = 48  # from all visitors together, first come, first served: some two seconds on two cores
MAX_EXTRAS = 1  # at a time, from all visitors together: nobody's pen waits long for a gallery or a film
MAX_MOMENTS = 60  # of a film
RAINBOW = ("red", "orange", "yellow", "green", "blue", "violet")
COLOURS = {  # ink beside the black pen, for weights that understand colour
    "black": "#000000",
    **{name: "#{:02x}{:02x}{:02x}".format(*PALETTE[name]) for name in RAINBOW},
    "brown": "#7f4f24",
    "leave empty": "#{:02x}{:02x}{:02x}".format(*EMPTY),
}

Answer = dict[str, Any]


def draw_tab(menu: Menu, model: Model | None, examples: list[Path]) -> None:
    """A canvas whose photo follows the pen: the page calls `redraw` with one frame at a time.

    ``model``: the menu's default, None if it cannot be loaded.
    """
    drawings = Drawings()
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

    def about(places: threading.BoundedSemaphore, frame: Any, question: Callable[[Model, Drawing], Answer]) -> Answer:
        """The answer to a question about a frame's drawing, and by which name that is kept."""
        frame = frame if isinstance(frame, dict) else {}

        def asked() -> Answer:
            drawn = drawings.drawn(frame.get("onto"), frame.get("strokes"))
            if drawn is None:
                return {"unknown": True}
            name, drawing = drawn
            return {"kept": name} | question(menu.get(frame.get("model")), drawing)

        return answer(places, asked)

    def redraw(frame: Any) -> Answer:
        return about(frames, frame, lambda model, drawing: answer_frame(model.translator, drawing, frame))

    def draw_back(frame: Any) -> Answer:
        return about(frames, frame, lambda model, drawing: answer_drawn_back(*model, drawing, frame))

    def vary(frame: Any) -> Answer:
        return about(extras, frame, lambda model, drawing: answer_vary(model.translator, drawing, frame))

    def film(moments: Any) -> Answer:
        return answer(extras, lambda: answer_film(moments))

    def traits(name: Any) -> Answer:
        return answer(frames, lambda: traits_of(menu.get(name)))

    has = traits_of(model)
    several = len(menu.names) > 1  # what one of them lacks is hidden while it is chosen
    gr.HTML(
        html_template=(WEB / "canvas.html").read_text(encoding="utf-8"),
        js_on_load=(WEB / "load.js").read_text(encoding="utf-8"),
        server_functions=[redraw, draw_back, vary, film, traits],
        examples=[{"name": path.stem, "strokes": json.loads(path.read_text(encoding="utf-8"))} for path in examples],
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


def answer_frame(translator: Translator, drawing: Drawing, frame: dict[str, Any]) -> Answer:
    """One frame of the canvas as pictures for the page. A frame is a dict, which anyone may have made, of

    - onto, strokes: what ``drawing`` is made of (see `Drawings.drawn`)
    - final: is the pen up?
    - tidy: is the drawing normalised first?
    - seed: an integer that the sheet keeps while it is drawn on: its colours, where the drawing tells none
    - model: its name on the menu, which is looked up before

    A drawing with the colours of a photo is of that photo, which lies in the middle of the sheet, as large as fits.

    While the pen moves the answer is the photo alone, as JPEG, without super-resolution if that would lag behind; at
    its end the photo and the sheet that the model saw, both lossless, and a remark on the normalisation. An empty
    drawing gives no picture.
    """
    start, final = time.perf_counter(), bool(frame.get("final"))
    painting = paint(translator, drawing, frame, preview=not (final or translator.follows_pen))
    if painting is None:
        return {"photo": None}
    photo = leave_empty(put_back(painting.prepared, painting.photo), painting.empty)
    if not final:
        return {"photo": data_url(photo, "JPEG"), "took": milliseconds_since(start)}
    drawing.painting = painting
    return {
        "photo": data_url(photo),
        "sheet": data_url(painting.prepared.sheet),
        "remark": painting.prepared.remark,
        "took": milliseconds_since(start),
    }


def answer_drawn_back(
    translator: Translator, discriminators: Discriminators | None, drawing: Drawing, frame: dict[str, Any]
) -> Answer:
    """What follows the photo of a frame whose pen is up: the drawing made from it, lossless, and if ``frame`` says
    judge, the discriminators' opinion of both. An empty drawing gives none."""
    start = time.perf_counter()
    painting, drawing.painting = drawing.painting, None
    if not painting or painting.request != request_of(translator, frame):
        painting = paint(translator, drawing, frame)
    if painting is None:
        return {"returned": None}
    photo, prepared = painting.photo, painting.prepared
    returned = translator.drawn_back(photo, filled=colours_of(drawing, translator) is not None)
    answer: Answer = {"returned": data_url(put_back(prepared, returned)), "took": milliseconds_since(start)}
    if frame.get("judge") and discriminators:
        of_photo, of_sketch = discriminators.opinion(photo, "photo"), discriminators.opinion(returned, "sketch")
        answer["opinion"] = {
            "photo": data_url(put_back(prepared, of_photo.overlay)),
            "returned": data_url(put_back(prepared, of_sketch.overlay)),
            "sentence": f"{of_photo.sentence} {LEGEND}",
        }
    return answer


def paint(translator: Translator, drawing: Drawing, frame: dict[str, Any], preview: bool = False) -> Painting | None:
    """The photo of a drawing, ``preview`` without super-resolution; None if the drawing is empty."""
    lines, empty = without_marks(drawing.picture())
    colours = colours_of(drawing, translator)
    if colours is None and (lines == 255).all():
        return None
    request, config = request_of(translator, frame), translator.config
    side = config.image_size if preview else config.photo_side
    prepared = prepare(Image.fromarray(lines), config.image_size, request.tidy, colours, side)
    photo = translator.sketch_to_photo(
        prepared.sketch, request.seed, colours, False, preview, on_sketch(empty, prepared)
    )
    return Painting(request, prepared, photo, empty)


def request_of(translator: Translator, frame: dict[str, Any]) -> Request:
    return Request(translator, bool(frame.get("tidy")), seed_of(frame))


def seed_of(frame: dict[str, Any]) -> int | None:
    """What the frame says its seed is, or nothing if that is no integer."""
    seed = frame.get("seed")
    return seed if isinstance(seed, int) else None


def colours_of(drawing: Drawing, translator: Translator) -> Image.Image | None:
    """The photo whose colours the drawing has, if the weights take any."""
    return drawing.colours if translator.config.generator.colour_map else None


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


def on_sketch(parts: Mask | None, prepared: NormalisedDrawing) -> Mask | None:
    """The H×W ``parts`` of the drawing where they are on its normalised sketch."""
    if parts is None:
        return None
    size = prepared.sketch.size
    return np.asarray(Image.fromarray(parts).crop(prepared.region).resize(size, Image.Resampling.NEAREST))


def put_back(prepared: NormalisedDrawing, picture: Image.Image) -> Image.Image:
    """A picture of the sheet, with or without its margins, with the object where it was drawn; the very same if that is
    where it is."""
    if prepared.region == (0, 0, *prepared.size):
        return picture
    return prepared.put_back(images.fit_square(picture, prepared.sheet.width))


# --- more of them ---------------------------------------------------------------------------------------------------


def answer_vary(translator: Translator, drawing: Drawing, frame: dict[str, Any]) -> Answer:
    """Six other photos of a frame's drawing, each with its seed and, where they are others, its drawing and colours."""
    colours = colours_of(drawing, translator)
    lines, empty = without_marks(drawing.picture())
    prepared = prepare(Image.fromarray(lines), CANVAS_SIDE, bool(frame.get("tidy")), colours)
    sketch, empty = prepared.sketch, on_sketch(empty, prepared)

    def marked(one: Variation) -> Image.Image:
        return put_back(prepared, Image.fromarray(with_marks(np.asarray(one.sketch), one.empty)))

    return {
        "variations": [
            {
                "name": one.name,
                "seed": one.seed,
                "sketch": None if one.sketch is sketch else data_url(marked(one)),
                "colours": one.colours and data_url(one.colours, "JPEG"),
                "photo": data_url(put_back(prepared, leave_empty(one.photo, one.empty))),
            }
            for one in variations(sketch, translator, seed_of(frame) or 0, colours, empty)
        ]
    }


def answer_film(moments: Any) -> Answer:
    """A GIF of a drawing growing beside its photo.

    `moments` are pairs: the strokes that came since the moment before, and the data URL of the photo that the drawing
    was answered while the pen moved.

    Raises:
        ImageError: one of them, which anyone may have made, is something else.
    """
    if not isinstance(moments, list) or not 0 < len(moments) <= MAX_MOMENTS:
        raise ImageError(f"A film has between 1 and {MAX_MOMENTS} moments.")
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in moments):
        raise ImageError("Each moment of a film is what was drawn and its photo.")
    drawing, pictures = Drawing(), []
    for strokes, photo in moments:
        drawing.add(strokes)
        pictures.append((Image.fromarray(drawing.picture()), open_photo(photo)))
    return {"film": "data:image/gif;base64," + base64.b64encode(gif(pictures)).decode("ascii")}
