"""The page in a real Firefox, as it comes and with privacy.resistFingerprinting."""

from __future__ import annotations

import json
import os
import sys

import pytest

from tests.browser import ZIGZAG
from tests.firefox import Firefox, firefox_path, running_firefox
from tests.test_sheets import HANDS, INKED, SOURCES, assert_the_same_pixels

pytest_plugins = ["tests.browser_fixtures"]

MESSAGE = "document.querySelector('.draw .message').textContent"
PHOTO = "document.querySelector('.draw .photo img:not([hidden])')?.src"


@pytest.fixture
def path() -> str:
    path = firefox_path()
    if path is None:
        if os.environ.get("CI") == "true" and sys.platform == "linux":  # where .ci/run installs it
            pytest.fail("Firefox is not installed")
        pytest.skip("Firefox is not installed")
    return path


def draw(firefox: Firefox, url: str) -> None:
    firefox.open(url)
    firefox.wait_for("document.querySelector('.draw.empty')")  # its modules have begun, and listen
    script = "const b = document.querySelector('canvas.ink').getBoundingClientRect(); return [b.x, b.y, b.width]"
    left, top, side = firefox.run(script)
    firefox.drag([(left + x * side, top + y * side) for x, y in ZIGZAG])


def test_draw_and_translate(path: str, url: str) -> None:
    with running_firefox(path) as firefox:
        draw(firefox, url)
        assert firefox.wait_for(PHOTO).startswith("data:image/")
        assert firefox.run(f"return {MESSAGE}") == ""
        firefox.run("[...document.querySelectorAll('[role=tab]')].find(e => e.textContent.includes('Photo →')).click()")
        visible = "[...document.querySelectorAll({})].filter(e => e.offsetParent)"
        firefox.wait_for(f"{visible.format(repr('.gallery-item'))}.length")
        firefox.run(f"{visible.format(repr('.gallery-item'))}[0].click()")
        firefox.wait_for(f"{visible.format(repr('.pictures img'))}.filter(e => e.naturalWidth).length === 3")


def test_the_server_inks_the_same_pixels(path: str, url: str) -> None:
    with running_firefox(path) as firefox:
        firefox.open(url)
        for strokes in HANDS:
            assert_the_same_pixels(firefox.run(f"return ({INKED})({json.dumps([*SOURCES, strokes])})"))


def test_a_firefox_that_resists_fingerprinting_draws_and_says_what_it_cannot(path: str, url: str) -> None:
    """What the page would read from its canvas is noise; strokes are not read from it."""
    with running_firefox(path, privacy__resistFingerprinting=True) as firefox:
        draw(firefox, url)
        firefox.wait_for(f"{PHOTO}?.startsWith('data:image/png')")
        assert firefox.run(f"return {MESSAGE}") == ""
        noise = "document.querySelector('canvas.ink').getContext('2d').getImageData(0, 0, 64, 64).data"
        assert firefox.run(f"return new Set({noise}).size") > 9
        firefox.run("document.querySelector('[data-save=both]').click()")
        assert "let the page read its canvas" in firefox.wait_for(MESSAGE)
        image = "document.querySelector('.photo img').src"
        firefox.run(f"document.dispatchEvent(new CustomEvent('edit-lines', {{ detail: {{ image: {image} }} }}))")
        assert "let the page read its canvas" in firefox.wait_for(MESSAGE)
