"""Small parts that the tabs share."""

from __future__ import annotations

import html
import json
import time
from pathlib import Path

from cyclegan.inference import Translator

WEB = Path(__file__).parent / "web"
GONE = "The server keeps pictures for an hour and no longer has this one; give it once more."
HIDDEN = (
    "Your browser gives this page noise in place of a picture that it puts together; let the page read its canvas (the"
    " icon beside the address), or save the pictures one by one."
)


def message(sentence: str) -> str:
    return f'<p class="message" role="alert">{html.escape(sentence)}</p>'


def remark(sentence: str) -> str:
    """A quiet line, as HTML; nothing for no sentence."""
    return f'<p class="remark">{html.escape(sentence)}</p>' if sentence else ""


def saving(script: str) -> str:
    """The function of web/`script` for the `js` of a click; it gets what to say of files that are gone and of a canvas
    that cannot be read, then the inputs, and returns what the alert says."""
    source = (WEB / script).read_text(encoding="utf-8").strip().removesuffix(";")
    words = json.dumps({"gone": message(GONE), "hidden": message(HIDDEN)})
    return f"(...files) => ({source})({words}, ...files)"


def foot_line(translator: Translator | None, took: int | None = None) -> str:
    """Which weights run, where they came from and how long the last picture took, as HTML."""
    running = translator.description if translator else "No weights are loaded"
    last = f"Last picture: {took} ms" if took is not None else ""
    return f'<p class="foot"><span>{html.escape(running)}</span> <span id="took">{last}</span></p>'


def milliseconds_since(start: float) -> int:
    """Whole milliseconds since `start`, a time of `time.perf_counter`."""
    return round((time.perf_counter() - start) * 1000)
