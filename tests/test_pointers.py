"""Pens, palms and erasers on the canvas (demo/web/pointers.js), and what a stroke costs, in a real Chromium."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, CDPSession, Page, expect

from tests.browser import PHOTO, ZIGZAG, canvas, draw, drawing_area, ink, open_page

pytest_plugins = ["tests.browser_fixtures"]

Touch = Callable[..., None]
PALM_REST = 800  # ms, a little more than in pointers.js


@pytest.fixture
def glass(browser: Browser, url: str) -> Iterator[Page]:
    page, faults = open_page(browser, url, has_touch=True)
    yield page
    page.context.close()
    assert faults == []


@pytest.fixture
def session(glass: Page) -> CDPSession:
    return glass.context.new_cdp_session(glass)


@pytest.fixture
def touch(glass: Page, session: CDPSession) -> Touch:
    """touch(kind, *points): a finger, or the palm of a hand."""
    left, top, side = drawing_area(glass)

    def send(kind: str, *points: tuple[float, float]) -> None:
        places = [{"x": left + x * side, "y": top + y * side, "id": i} for i, (x, y) in enumerate(points)]
        session.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": places})

    return send


@pytest.fixture
def pen(glass: Page, session: CDPSession) -> Touch:
    """pen(kind, x, y): the tip of a stylus."""
    left, top, side = drawing_area(glass)

    def send(kind: str, x: float, y: float) -> None:
        place = {"x": left + x * side, "y": top + y * side}
        tip = {"pointerType": "pen", "force": 0.5, "button": "left", "buttons": 1, "clickCount": 1}
        session.send("Input.dispatchMouseEvent", {"type": f"mouse{kind}", **place, **tip})

    return send


def strokes(page: Page) -> int:
    """How many the drawing has, once it is kept."""
    page.wait_for_timeout(400)
    return len(json.loads(page.evaluate("sessionStorage.getItem('sketch-photo-drawing') ?? '[]'")))


def test_a_pen_beats_the_palm_that_lies_there_first(glass: Page, touch: Touch, pen: Touch) -> None:
    touch("Start", (0.8, 0.9))
    touch("Move", (0.9, 0.8))
    assert ink(glass) > 0  # it could be a finger that draws
    pen("Pressed", 0.2, 0.2)
    pen("Moved", 0.5, 0.2)
    touch("Move", (0.8, 0.6))
    pen("Moved", 0.8, 0.2)
    pen("Released", 0.8, 0.2)
    touch("End")
    drawn = canvas(glass).min(axis=2) < 128
    assert drawn[80:125, 100:412].any(axis=0).all()  # the pen's line is whole
    assert not drawn[200:].any()  # and the palm left nothing
    assert strokes(glass) == 1


def test_a_palm_between_two_strokes_of_a_pen_is_no_finger(glass: Page, touch: Touch, pen: Touch) -> None:
    pen("Pressed", 0.2, 0.2)
    pen("Moved", 0.8, 0.2)
    pen("Released", 0.8, 0.2)
    touch("Start", (0.7, 0.8))  # at once, before the pen counts as gone
    touch("Move", (0.9, 0.7))
    touch("End")
    assert not (canvas(glass)[250:].min(axis=2) < 128).any()
    before = ink(glass)
    assert before > 0
    glass.wait_for_timeout(PALM_REST)
    touch("Start", (0.7, 0.8))  # the pen is gone
    touch("Move", (0.9, 0.7))
    touch("End")
    assert ink(glass) > before


def test_a_cancelled_touch_leaves_nothing(glass: Page, touch: Touch) -> None:
    draw(glass, ZIGZAG[:2])
    before = ink(glass)
    touch("Start", (0.2, 0.8))
    touch("Move", (0.8, 0.8))
    assert ink(glass) > before
    touch("Cancel")
    assert ink(glass) == before
    assert strokes(glass) == 1
    glass.get_by_role("button", name="Undo").click()
    expect(glass.locator(PHOTO)).to_be_hidden()


@pytest.mark.parametrize(("button", "buttons"), [(5, 32), (0, 33)])
def test_the_other_end_of_a_stylus_erases(page: Page, button: int, buttons: int) -> None:
    """Chromium's protocol knows no such button, so these events are the page's own."""
    draw(page, [(0.1, 0.5), (0.9, 0.5)])
    before = ink(page)
    left, top, side = drawing_area(page)
    page.evaluate(
        """([x, y, button, buttons]) => {
          const canvas = document.querySelector("canvas.ink");
          canvas.setPointerCapture = () => {};  // there is no such pointer
          const pen = { pointerId: 77, pointerType: "pen", pressure: 0.5, buttons, bubbles: true, cancelable: true };
          const send = (kind, down, up) => canvas.dispatchEvent(
            new PointerEvent(kind, { ...pen, button: down, clientX: x, clientY: up }));
          send("pointerdown", button, y - 60);
          for (let dy = -50; dy <= 60; dy += 10) send("pointermove", -1, y + dy);
          send("pointerup", button, y + 60);
        }""",
        [left + side / 2, top + side / 2, button, buttons],
    )
    assert 0 < ink(page) < before
    assert (canvas(page)[230:282, 250:262] == 255).all()
    expect(page.locator('[data-tool="pen"]')).to_have_attribute("aria-pressed", "true")
    draw(page, [(0.1, 0.8), (0.9, 0.8)])  # the tip draws on
    assert ink(page) > before


def test_undo_during_a_stroke_takes_back_that_stroke_alone(page: Page) -> None:
    draw(page, ZIGZAG[:2])
    one = canvas(page)
    draw(page, ZIGZAG[2:], release=False)
    page.keyboard.press("Control+y")  # means nothing now
    page.keyboard.press("Control+z")
    assert np.array_equal(canvas(page), one)
    left, top, side = drawing_area(page)
    page.mouse.move(left + 0.9 * side, top + 0.9 * side, steps=5)
    page.mouse.up()
    assert np.array_equal(canvas(page), one)
    draw(page, ZIGZAG[2:])
    page.keyboard.press("Control+z")
    assert np.array_equal(canvas(page), one)


def test_a_step_during_a_stroke_ends_it(page: Page) -> None:
    draw(page, ZIGZAG, release=False)
    drawn = canvas(page)
    page.evaluate("document.querySelector('[data-example=shoe]').click()")
    page.mouse.up()
    page.keyboard.press("Control+z")
    assert np.abs(canvas(page).astype(int) - drawn).mean() < 0.5  # the last half segment
    page.keyboard.press("Control+z")
    assert ink(page) == 0


def test_a_stroke_costs_the_same_on_a_full_sheet(page: Page) -> None:
    many = [[{"colour": "#000000", "width": 2, "points": [[i % 500, i / 2], [500 - i % 500, 9]]}] for i in range(1000)]
    page.evaluate("drawing => sessionStorage.setItem('sketch-photo-drawing', JSON.stringify(drawing))", many)
    page.add_init_script("""
      const { stroke } = CanvasRenderingContext2D.prototype;
      window.inked = 0;
      CanvasRenderingContext2D.prototype.stroke = function () { window.inked += 1; stroke.call(this); };
    """)
    page.reload()
    expect(page.locator(PHOTO)).to_be_visible()
    page.evaluate("window.inked = 0")
    draw(page, [(0.2, 0.9), (0.8, 0.9)])
    assert 0 < page.evaluate("window.inked") < 40
    drawn = canvas(page)
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+y")  # inks all anew
    assert page.evaluate("window.inked") > 1000
    assert np.array_equal(canvas(page), drawn)


def test_a_drawing_left_at_once_is_kept(page: Page) -> None:
    draw(page, ZIGZAG)
    drawn = canvas(page)
    page.reload()
    expect(page.locator(PHOTO)).to_be_visible()
    assert np.array_equal(canvas(page), drawn)
