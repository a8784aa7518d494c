"""The Draw tab: a canvas (web/canvas.*, web/photo.js) whose photo follows the pen."""

from __future__ import annotations

import base64
import json
import threading
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from cyclegan import images
from cyclegan.images import ImageError
from cyclegan.inference import Translator
from demo.parts import WEB, milliseconds_since

SCRIPTS = ("canvas.js", "photo.js")  # read as one: the drawing, and the photo that follows it
CANVAS_SIDE = 512  # pixels, as in web/canvas.html
MAX_FRAME_CHARACTERS = 2_000_000  # of a frame's data URL; a sheet full of scribble has 400,000
MAX_FRAMES_WAITING = 16  # from all visitors together; each page sends its next frame after the answer to its last
PNG_URL = "data:image/png;base64,"
COLOURS = {  # ink beside the black pen, for weights that understand colour
    "black": "#000000", "red": "#d62828", "orange": "#f77f00", "yellow": "#fcbf49", "green": "#2a9d3f",
    "blue": "#1d6fd1", "violet": "#7b2cbf", "brown": "#7f4f24",
}  # fmt: skip


def draw_tab(translator: Translator | None, problem: str, drawings: list[Path]) -> None:
    """A canvas whose photo follows the pen: the page calls `redraw` with one frame at a time."""
    places = threading.BoundedSemaphore(MAX_FRAMES_WAITING)

    def redraw(frame: Any) -> dict[str, Any]:
        if translator is None:
            return {"error": problem}
        if not places.acquire(blocking=False):
            return {"busy": True}
        try:
            return answer_frame(translator, frame)
        except ImageError as error:
            return {"error": str(error)}
        finally:
            places.release()

    hints = translator is not None and translator.config.colour_hints
    examples = [{"name": path.stem, "strokes": json.loads(path.read_text())} for path in drawings]
    gr.HTML(
        html_template=(WEB / "canvas.html").read_text(encoding="utf-8"),
        js_on_load="".join((WEB / name).read_text(encoding="utf-8") for name in SCRIPTS),
        server_functions=[redraw],
        examples=examples,
        colours=[{"name": name, "value": value} for name, value in COLOURS.items()] if hints else [],
        elem_id="draw",
    )


def answer_frame(translator: Translator, frame: Any) -> dict[str, Any]:
    """One frame of the canvas, `{"image": data URL of a PNG, "final": is the pen up?}`, as pictures for the page.

    While the pen moves the answer is the photo alone, as JPEG; at its end the photo and the drawing made from it,
    lossless. All are as large as the networks like their sheet, and an empty drawing gives no picture.

    Raises:
        ImageError: the frame, which anyone may have made, is not one that the canvas makes.
    """
    frame = frame if isinstance(frame, dict) else {}
    sheet = open_frame(frame.get("image"))
    if sheet.convert("L").getextrema() == (255, 255):
        return {"photo": None}
    start = time.perf_counter()
    sketch = images.fit_square(sheet, translator.config.image_size)
    if not frame.get("final"):
        return {"photo": _data_url(translator.sketch_to_photo(sketch), "JPEG"), "took": milliseconds_since(start)}
    photo, returned = translator.round_trip(sketch, "sketch_to_photo")
    took = milliseconds_since(start)
    return {"photo": _data_url(photo, "PNG"), "returned": _data_url(returned, "PNG"), "took": took}


def open_frame(url: Any) -> Image.Image:
    """The RGB picture in a data URL of the canvas; raises ImageError for anything else."""
    if not isinstance(url, str) or not url.startswith(PNG_URL):
        raise ImageError("The drawing must come as a PNG data URL.")
    if len(url) > MAX_FRAME_CHARACTERS:
        raise ImageError("The drawing is too large; clear the sheet and start again.")
    try:
        data = base64.b64decode(url.removeprefix(PNG_URL), validate=True)
    except ValueError:
        raise ImageError("The drawing is damaged: it is not valid base64.") from None
    image = images.open_image(BytesIO(data))
    if image.format != "PNG" or image.size != (CANVAS_SIDE, CANVAS_SIDE):
        raise ImageError(f"The drawing must be a PNG of {CANVAS_SIDE}×{CANVAS_SIDE} pixels.")
    return images.to_rgb(image)


def _data_url(image: Image.Image, kind: str) -> str:
    buffer = BytesIO()
    options: dict[str, Any] = {"quality": 88, "subsampling": 0} if kind == "JPEG" else {"compress_level": 1}
    image.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
