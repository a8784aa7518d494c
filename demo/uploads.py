"""The tabs for pictures of one's own, one for each direction."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import gradio as gr

from cyclegan import images
from cyclegan.images import ImageError
from cyclegan.inference import Direction, Translator
from demo.parts import foot_line, message, milliseconds_since

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
            return gr.skip(), None, None, message(problem), foot_line(None)
        try:
            image = images.to_rgb(images.open_image(uploaded_file(upload, picture.GRADIO_CACHE)))
            start = time.perf_counter()
            result, returned = translator.round_trip(image, direction)
        except ImageError as error:
            return None, None, None, message(str(error)), foot_line(translator)
        return gr.skip(), result, returned, "", foot_line(translator, milliseconds_since(start))

    alert = gr.HTML(elem_classes="alert")
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
    outputs = [picture, result, returned, alert, foot]
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
