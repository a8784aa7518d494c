"""The demo: draw a sketch and the photo appears under the pen; turn pictures of your own, both ways.

    python app.py [--host HOST] [--port PORT] [--open] [--share] [--weights FOLDER_OR_HUB_ID] [--auth USER:PASSWORD]

Layout and wiring only: the pictures come from `cyclegan.inference`, the drawing canvas is web/canvas.*.
"""

from __future__ import annotations

import argparse
import base64
import html
import json
import logging
import os
import socket
import threading
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from cyclegan import images
from cyclegan.hub import DEFAULT_FOLDER
from cyclegan.images import ImageError
from cyclegan.inference import Direction, Translator
from cyclegan.weights import WeightsError

log = logging.getLogger("app")

HERE = Path(__file__).parent
WEB = HERE / "web"
EXAMPLES = HERE / "examples"

CANVAS_SIDE = 512  # pixels, as in web/canvas.html
MAX_FRAME_CHARACTERS = 2_000_000  # of a frame's data URL; a sheet full of scribble has 400,000
MAX_FRAMES_WAITING = 16  # from all visitors together; each page sends its next frame after the answer to its last
PNG_URL = "data:image/png;base64,"
COLOURS = {  # ink beside the black pen, for weights that understand colour
    "black": "#000000", "red": "#d62828", "orange": "#f77f00", "yellow": "#fcbf49", "green": "#2a9d3f",
    "blue": "#1d6fd1", "violet": "#7b2cbf", "brown": "#7f4f24",
}  # fmt: skip
TEMPORARY_FILES_SECONDS = 3600
PORTS_TO_TRY = 100

# --- the Draw tab ---------------------------------------------------------------------------------------------------


def draw_tab(translator: Translator | None, problem: str, examples: Path) -> None:
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
    drawings = [{"name": path.stem, "strokes": json.loads(path.read_text())} for path in _files(examples, "*.json")]
    gr.HTML(
        html_template=(WEB / "canvas.html").read_text(encoding="utf-8"),
        js_on_load=(WEB / "canvas.js").read_text(encoding="utf-8"),
        server_functions=[redraw],
        examples=drawings,
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
        return {"photo": _data_url(translator.sketch_to_photo(sketch), "JPEG"), "took": _milliseconds_since(start)}
    photo, returned = translator.round_trip(sketch, "sketch_to_photo")
    took = _milliseconds_since(start)
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


# --- the tabs for pictures of one's own -----------------------------------------------------------------------------

Answer = tuple[Any, Any, Any, str, str]  # input, result, round trip, message, foot


def upload_tab(
    translator: Translator | None, problem: str, direction: Direction, examples: list[Path], foot: gr.HTML
) -> None:
    """Input, result and round trip side by side; the result follows the input without a button."""
    sketch_first = direction == "sketch_to_photo"
    given, made = ("Your sketch", "Photo") if sketch_first else ("Your photo", "Sketch")
    back = "Back to a sketch" if sketch_first else "Back to a photo"

    def translate(upload: dict[str, Any] | None) -> Answer:
        if upload is None:
            return None, None, None, "", foot_line(translator)
        if translator is None:
            return gr.skip(), None, None, _message(problem), foot_line(None)
        try:
            image = images.to_rgb(images.open_image(uploaded_file(upload, picture.GRADIO_CACHE)))
            start = time.perf_counter()
            result, returned = translator.round_trip(image, direction)
        except ImageError as error:
            return None, None, None, _message(str(error)), foot_line(translator)
        return gr.skip(), result, returned, "", foot_line(translator, _milliseconds_since(start))

    message = gr.HTML(elem_classes="alert")
    with gr.Row(equal_height=True, elem_classes="pictures"):
        picture = gr.Image(
            label=given, type="filepath", image_mode=None, height=360, buttons=["fullscreen"],
            sources=["upload", "clipboard"] if sketch_first else ["upload", "webcam", "clipboard"],
        )  # fmt: skip
        shown: dict[str, Any] = {
            "format": "png",
            "height": 360,
            "interactive": False,
            "buttons": ["download", "fullscreen"],
        }
        result = gr.Image(label=made, **shown)
        returned = gr.Image(label=back, **shown)
    outputs = [picture, result, returned, message, foot]
    # Without preprocessing the file arrives unopened, and what is wrong with it is said by cyclegan.images.
    run: dict[str, Any] = {"inputs": picture, "outputs": outputs, "preprocess": False, "show_progress": "hidden"}
    model: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1}
    picture.input(translate, api_name=direction, trigger_mode="always_last", **run, **model)
    if examples:
        shelf = gr.Examples(
            [[str(path)] for path in examples], picture, label="Or try one of these", examples_per_page=12
        )
        shelf.load_input_event.then(translate, api_visibility="private", **run, **model)


def uploaded_file(upload: dict[str, Any], folder: str) -> Path:
    """The file of an upload, which must lie in Gradio's own `folder`; raises ImageError.

    Gradio 6.31 lets a payload without its `meta` mark name any file of the server, and an API caller writes payloads.
    """
    path = Path(str(upload.get("path") or "")).resolve()
    if not path.is_relative_to(Path(folder).resolve()):
        raise ImageError("The picture did not arrive; upload it as a file.")
    return path


def _message(sentence: str) -> str:
    return f'<p class="message" role="alert">{html.escape(sentence)}</p>'


# --- the page -------------------------------------------------------------------------------------------------------


def foot_line(translator: Translator | None, took: int | None = None) -> str:
    """Which weights run, where they came from and how long the last picture took, as HTML."""
    running = translator.description if translator else "No weights are loaded"
    last = f"Last picture: {took} ms" if took is not None else ""
    return f'<p class="foot"><span>{html.escape(running)}</span> <span id="took">{last}</span></p>'


def build_demo(translator: Translator | None, examples: Path = EXAMPLES, problem: str = "") -> gr.Blocks:
    """The whole page; without a translator it says the `problem` at the top and under each input."""
    with gr.Blocks(
        title="Sketch ↔ Photo",
        analytics_enabled=False,
        delete_cache=(TEMPORARY_FILES_SECONDS, TEMPORARY_FILES_SECONDS),
    ) as demo:
        gr.HTML(
            '<h1>Sketch ↔ Photo</h1><p class="lead">Draw something and watch it become a photo.</p>', elem_id="head"
        )
        if problem:
            gr.HTML(_message(problem), elem_id="problem")
        foot = gr.HTML(foot_line(translator), render=False)
        with gr.Tab("Draw"):
            draw_tab(translator, problem, examples / "sketches")
        with gr.Tab("Sketch → Photo"):
            upload_tab(translator, problem, "sketch_to_photo", _files(examples / "sketches", "*.png"), foot)
        with gr.Tab("Photo → Sketch"):
            upload_tab(translator, problem, "photo_to_sketch", _files(examples / "photos", "*.jpg"), foot)
        foot.render()
    return demo


def launch(demo: gr.Blocks, host: str, port: int, **options: Any) -> None:
    """Serves the page on `host`:`port`; nothing that it or the page does needs another host."""
    theme = gr.themes.Default(
        primary_hue="indigo",
        neutral_hue="zinc",
        font=("system-ui", "sans-serif"),
        font_mono=("ui-monospace", "monospace"),
    ).set(body_text_color_subdued="*neutral_500", body_text_color_subdued_dark="*neutral_400")
    demo.launch(
        server_name=host,
        server_port=port,
        theme=theme,
        css_paths=WEB / "style.css",
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        max_file_size=images.MAX_FILE_BYTES,
        **options,
    )


def free_port(host: str, port: int) -> int:
    """`port`, or the next one on `host` that nobody listens on."""
    for candidate in range(port, min(port + PORTS_TO_TRY, 65536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, candidate))
            except OSError:
                continue
            return candidate
    raise SystemExit(f"No free port from {port} on {host}; choose others with --port and --host.")


def main(arguments: list[str] | None = None) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # Gradio pings itself as it starts
    environment = os.environ.get
    parser = argparse.ArgumentParser(description="Draw a sketch and see the photo, in the browser.")
    parser.add_argument("--host", default=environment("GRADIO_SERVER_NAME", "127.0.0.1"), help="default: %(default)s")
    usual = environment("GRADIO_SERVER_PORT", "7860" if "SPACE_ID" in os.environ else "5000")
    parser.add_argument("--port", type=int, default=usual, help="default: %(default)s")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.add_argument("--share", action="store_true", help="also ask Gradio for a public link")
    parser.add_argument("--weights", default=DEFAULT_FOLDER, help="a folder, or owner/name on the Hugging Face Hub")
    parser.add_argument("--auth", metavar="USER:PASSWORD", help="let in only who knows this")
    options = parser.parse_args(arguments)
    user, colon, password = (options.auth or "").partition(":")
    if options.auth and not (user and colon and password):
        parser.error("--auth takes USER:PASSWORD")

    translator, problem = None, ""
    try:
        translator = Translator.from_pretrained(options.weights)
    except WeightsError as error:
        problem = str(error)
        log.error(problem)
    port = free_port(options.host, options.port)
    if port != options.port:
        log.warning("Port %d is taken; using %d.", options.port, port)
    demo = build_demo(translator, problem=problem)
    auth = (user, password) if options.auth else None
    launch(demo, options.host, port, share=options.share, auth=auth, inbrowser=options.open)


def _files(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(pattern))


def _milliseconds_since(start: float) -> int:
    return round((time.perf_counter() - start) * 1000)


if __name__ == "__main__":
    main()
