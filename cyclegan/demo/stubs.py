"""Gradio's import without what only editors need: two fifths of its time."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def no_stubs() -> Iterator[None]:
    """While Gradio is imported, it reads the source of each of its components, parses it twice and keeps a stub (.pyi)
    of it beside it (`gradio.component_meta.create_or_modify_pyi`), unless it is told that there is no source.
    """
    getfile = inspect.getfile

    def of_others(thing: Any) -> str:
        if getattr(thing, "__module__", "").startswith("gradio."):
            raise OSError("there is no need for a stub")
        return getfile(thing)

    inspect.getfile = of_others  # type: ignore[assignment]
    try:
        yield
    finally:
        inspect.getfile = getfile
