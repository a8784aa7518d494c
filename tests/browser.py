"""How the tests, the screenshots and the benchmark find Chromium, open the demo's page, draw in it and look at it."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, Response, expect

from cyclegan.demo.app import free_port
from cyclegan.demo.page import launch
from tests.server import first_port

ROOT = Path(__file__).parents[1]
CHROMIUM_FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
HEADLESS_SHELL = "chromium-headless-shell"
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
START_SECONDS = 120
PATIENCE = 30_000  # ms; only a busy machine needs it
PHOTO, RETURNED = ".draw .photo img", ".draw .returned:not(.outdated) img"
ZIGZAG = [(0.2, 0.2), (0.8, 0.3), (0.3, 0.5), (0.8, 0.7), (0.2, 0.8)]


def chromium_path(with_window: bool = False) -> str | None:
    """Where Chromium is, None if it is not installed: the one that people use, or else, if there is one, its headless
    shell, which opens a page with the same engine in a third of the processor's time."""
    names = CHROMIUM_NAMES if with_window else (HEADLESS_SHELL, *CHROMIUM_NAMES)
    return next(filter(None, map(shutil.which, names)), None)


def serve(demo: Any, **options: Any) -> str:
    """Serves the page from this process until `demo.close()`; its address. ``options``: more of `launch`."""
    port = free_port("127.0.0.1", first_port())
    launch(demo, "127.0.0.1", port, prevent_thread_lock=True, quiet=True, **options)
    return f"http://127.0.0.1:{port}"


def open_page(browser: Browser, url: str, **options: Any) -> tuple[Page, list[str]]:
    """A page in a context of its own, and the list of what goes wrong on it: errors and requests to other hosts."""
    page = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options}).new_page()
    page.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    faults: list[str] = []
    local = (url, "data:", "blob:")
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith(local) else faults.append(request.url))
    page.goto(url)
    page.wait_for_selector(".draw.empty")  # its modules have begun, and listen
    return page, faults


@contextmanager
def fresh_page(browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """`open_page` for a while; an AssertionError if anything went wrong on it, whatever else was checked."""
    page, faults = open_page(browser, url, **options)
    yield page
    page.context.close()
    assert not faults, faults


def drawing_area(page: Page) -> tuple[float, float, float]:
    """(left, top, side) of the canvas in pixels of the page."""
    box = page.locator("canvas.ink").bounding_box()
    assert box is not None
    return box["x"], box["y"], box["width"]


def draw(page: Page, points: list[tuple[float, float]], release: bool = True) -> None:
    """A stroke of the mouse through `points`, given as shares of the canvas's side."""
    left, top, side = drawing_area(page)
    for number, (x, y) in enumerate(points):
        page.mouse.move(left + x * side, top + y * side, steps=6)
        if number == 0:
            page.mouse.down()
    if release:
        page.mouse.up()


def canvas(page: Page) -> np.ndarray:
    """What is drawn, 512×512×3 of 0-255."""
    return decode(page.evaluate("document.querySelector('canvas.ink').toDataURL()"))


def ink(page: Page) -> int:
    """Dark pixels on the canvas."""
    return int((canvas(page).sum(axis=2) < 384).sum())


def picture(page: Page, selector: str, kind: str = "png") -> np.ndarray:
    """The picture that is shown, H×W×3 of 0-255, as soon as there is one of that kind."""
    image = page.locator(f"{selector}[src^='data:image/{kind}']")
    expect(image).to_be_visible()
    return decode(image.get_attribute("src") or "")


@contextmanager
def redrawn(page: Page) -> Iterator[None]:
    """Waits at the end for the drawing made of a new photo, which is the last that the page asks its server for."""

    def draws_back(response: Response) -> bool:
        return "component_server" in response.url and '"draw_back"' in (response.request.post_data or "")

    if page.locator(PHOTO).is_visible():
        picture(page, RETURNED)
    with page.expect_response(draws_back):
        yield
    picture(page, RETURNED)


def decode(url: str) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB"))
