"""Small parts that the tabs share."""

from __future__ import annotations

import html
import time
from pathlib import Path

from cyclegan.inference import Translator

WEB = Path(__file__).parent / "web"


def message(sentence: str) -> str:
    return f'<p class="message" role="alert">{html.escape(sentence)}</p>'


def remark(sentence: str) -> str:
    """A quiet line, as HTML; nothing for no sentence."""
    return f'<p class="remark">{html.escape(sentence)}</p>' if sentence else ""


def foot_line(translator: Translator | None, took: int | None = None) -> str:
    """Which weights run, where they came from and how long the last picture took, as HTML."""
    running = translator.description if translator else "No weights are loaded"
    last = f"Last picture: {took} ms" if took is not None else ""
    return f'<p class="foot"><span>{html.escape(running)}</span> <span id="took">{last}</span></p>'


def milliseconds_since(start: float) -> int:
    """Whole milliseconds since `start`, a time of `time.perf_counter`."""
    return round((time.perf_counter() - start) * 1000)
