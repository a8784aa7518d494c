"""The Draw tab (demo/web/canvas.*), driven in a real Chromium against a real server with tiny random weights."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from cyclegan.demo.draw import prepare, put_back
from cyclegan.demo.page import EXAMPLES
from cyclegan.demo.sheets import Drawing
from cyclegan.inference import Translator
from tests.browser import PHOTO, RETURNED, ZIGZAG, canvas, draw, drawing_area, ink, open_page, picture, redrawn

pytest_plugins = ["tests.browser_fixtures"]

# --- drawing --------------------------------------------------------------------------------------------------------


def test_photo_follows_the_pen(page: Page) -> None:
    expect(page.locator(PHOTO)).to_be_hidden()
    draw(page, ZIGZAG[:2], release=False)
    first = picture(page, PHOTO, "jpeg")
    before = page.locator(PHOTO).get_attribute("src")
    left, top, side = drawing_area(page)
    page.mouse.move(left + 0.3 * side, top + 0.9 * side, steps=10)
    page.wait_for_function("before => document.querySelector('.photo img').src !== before", arg=before)
    second = picture(page, PHOTO, "jpeg")
    assert np.abs(first.astype(int) - second).max() > 30  # the pen is still down
    page.mouse.up()
    photo, returned = picture(page, PHOTO), picture(page, RETURNED)
    sketch = np.asarray(Image.fromarray(canvas(page)).resize((64, 64)))
    assert photo.shape == returned.shape == (64, 64, 3)
    assert np.abs(photo.astype(int) - sketch).mean() > 10
    assert photo.std() > 5
    expect(page.locator("#took")).to_contain_text("ms")


def test_the_photo_is_there_before_the_drawing_made_from_it(page: Page) -> None:
    draw(page, ZIGZAG)
    picture(page, RETURNED)
    held: list[Any] = []

    def hold(route: Any) -> None:
        held.append(route) if route.request.post_data_json["fn_name"] == "draw_back" else route.continue_()

    page.route("**/component_server/**", hold)
    before = page.locator(PHOTO).get_attribute("src")
    draw(page, [(0.2, 0.8), (0.8, 0.7)])
    page.wait_for_function(
        "before => !document.querySelector('.photo img').src.startsWith('data:image/jpeg') &&"
        " document.querySelector('.photo img').src !== before",
        arg=before,
    )
    expect(page.locator(".draw .returned.outdated img")).to_be_visible()
    while not held:
        page.wait_for_timeout(50)
    held[0].continue_()
    picture(page, RETURNED)
    page.unroute("**/component_server/**")


def test_photo_is_the_translators(page: Page, translator: Translator) -> None:
    for points in (ZIGZAG, [(0.2, 0.8), (0.8, 0.7)]):
        with redrawn(page):
            draw(page, points)
    photo, returned = picture(page, PHOTO), picture(page, RETURNED)
    stored = "JSON.parse(sessionStorage.getItem('sketch-photo-drawing'))"
    steps = page.wait_for_function(f"{stored}?.length === 2 && {stored}").json_value()
    drawing = Drawing()
    for stroke in (one for step in steps for one in step):
        places = np.rint(10 * np.array(stroke["points"])).astype(int)
        drawing.add([stroke | {"points": np.diff(places, axis=0, prepend=0).ravel().tolist()}])
    normalised = prepare(Image.fromarray(drawing.picture()), 64, tidy=True)
    x, y = steps[0][0]["points"][0]
    seed = round(10 * x) + 31 * round(10 * y)  # the first stroke's: the sheet keeps its colours
    expected = translator.round_trip(normalised.sheet, "sketch_to_photo", seed)
    assert np.abs(photo.astype(int) - np.asarray(put_back(normalised, expected[0]))).max() <= 8
    assert np.abs(returned.astype(int) - np.asarray(put_back(normalised, expected[1]))).max() <= 8


def test_undo_redo_clear(page: Page) -> None:
    draw(page, ZIGZAG[:2])
    one = ink(page)
    draw(page, ZIGZAG[2:])
    two = ink(page)
    assert two > one > 500
    page.get_by_role("button", name="Undo").click()
    assert ink(page) == one
    page.get_by_role("button", name="Redo").click()
    assert ink(page) == two
    page.keyboard.press("Control+z")
    assert ink(page) == one
    page.keyboard.press("Control+Shift+z")
    assert ink(page) == two
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+y")
    assert ink(page) == two
    page.get_by_role("button", name="Clear the sheet").click()
    assert ink(page) == 0
    expect(page.locator(PHOTO)).to_be_hidden()
    expect(page.locator(".paper .hint")).to_be_visible()
    page.keyboard.press("Control+z")
    assert ink(page) == two
    expect(page.locator(PHOTO)).to_be_visible()


def test_eraser_and_width(page: Page) -> None:
    slider = page.locator(".width input")
    slider.fill("1")
    draw(page, [(0.1, 0.3), (0.9, 0.3)])
    thin = ink(page)
    slider.fill("8")
    draw(page, [(0.1, 0.6), (0.9, 0.6)])
    assert ink(page) - thin > 5 * thin
    before = ink(page)
    page.get_by_role("button", name="Eraser").click()
    draw(page, [(0.5, 0.2), (0.5, 0.8)])
    assert 0 < ink(page) < before
    page.get_by_role("button", name="Pen", exact=True).click()
    draw(page, [(0.5, 0.1), (0.5, 0.2)])
    assert ink(page) > thin


def test_erasing_everything_leaves_no_photo(page: Page) -> None:
    draw(page, [(0.5, 0.5), (0.6, 0.5)])
    expect(page.locator(PHOTO)).to_be_visible()
    page.get_by_role("button", name="Eraser").click()
    draw(page, [(0.45, 0.5), (0.65, 0.5)])
    expect(page.locator(PHOTO)).to_be_hidden()


def test_a_dot_is_a_drawing(page: Page) -> None:
    draw(page, [(0.5, 0.5)])
    assert ink(page) > 4
    expect(page.locator(PHOTO)).to_be_visible()


RED, BLUE = (0xD6, 0x28, 0x28), (0x1D, 0x6F, 0xD1)


def pixels(page: Page, colour: tuple[int, int, int]) -> int:
    return int((canvas(page) == colour).all(axis=2).sum())


def choose(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def test_colours_are_bold_and_black_is_the_pen(page: Page) -> None:
    draw(page, [(0.1, 0.2), (0.9, 0.2)])
    black = pixels(page, (0, 0, 0))
    choose(page, "red")
    draw(page, [(0.1, 0.5), (0.9, 0.5)])
    assert 3 < pixels(page, RED) / black < 5
    choose(page, "black")
    expect(page.locator('[data-tool="pen"]')).to_have_attribute("aria-pressed", "true")
    draw(page, [(0.1, 0.8), (0.9, 0.8)])
    assert pixels(page, (0, 0, 0)) == pytest.approx(2 * black, rel=0.1)


def test_lines_stay_on_top_and_colour_replaces_colour(page: Page) -> None:
    draw(page, [(0.5, 0.1), (0.5, 0.9)])
    black = pixels(page, (0, 0, 0))
    choose(page, "red")
    draw(page, [(0.3, 0.5), (0.7, 0.5)])
    assert pixels(page, (0, 0, 0)) == black
    red = pixels(page, RED)
    choose(page, "blue")
    draw(page, [(0.3, 0.5), (0.7, 0.5)])
    assert pixels(page, RED) == 0
    assert pixels(page, BLUE) == pytest.approx(red, rel=0.02)  # edges are mixed
    assert pixels(page, (0, 0, 0)) == black
    choose(page, "Eraser")
    draw(page, [(0.2, 0.5), (0.8, 0.5)])
    assert pixels(page, BLUE) == 0
    assert pixels(page, (0, 0, 0)) < black


def test_pressure_widens_the_line(page: Page) -> None:
    session = page.context.new_cdp_session(page)
    left, top, side = drawing_area(page)

    def stroke(height: float, force: float) -> int:
        before = ink(page)
        for kind, x in (("mousePressed", 0.2), ("mouseMoved", 0.5), ("mouseMoved", 0.8), ("mouseReleased", 0.8)):
            place = {"x": left + x * side, "y": top + height * side}
            pen = {"pointerType": "pen", "force": force, "button": "left", "buttons": 1, "clickCount": 1}
            session.send("Input.dispatchMouseEvent", {"type": kind, **place, **pen})
        return ink(page) - before

    assert stroke(0.7, 1.0) > 1.5 * stroke(0.3, 0.1) > 0


def test_touch_draws_and_does_not_scroll(browser: Browser, url: str) -> None:
    page, faults = open_page(browser, url, has_touch=True, viewport={"width": 390, "height": 600})
    session = page.context.new_cdp_session(page)
    left, top, side = drawing_area(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        places = [{"x": left + x * side, "y": top + y * side} for x, y in points]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    touch("touchStart", (0.5, 0.9))
    for step in range(20):
        touch("touchMove", (0.5, 0.9 - step * 0.04))
    touch("touchEnd")
    assert ink(page) > 200
    assert page.evaluate("window.scrollY") == 0
    assert page.evaluate("document.documentElement.scrollHeight > innerHeight")  # it could have scrolled
    expect(page.locator(PHOTO)).to_be_visible()
    page.context.close()
    assert faults == []


def test_drawing_survives_reload_and_tab_switch(page: Page) -> None:
    draw(page, ZIGZAG)
    drawn = ink(page)
    page.get_by_role("tab", name="Photo → Sketch").click()
    expect(page.locator("canvas.ink")).to_be_hidden()
    page.get_by_role("tab", name="Draw").click()
    assert ink(page) == drawn
    page.reload()
    expect(page.locator(PHOTO)).to_be_visible()
    assert ink(page) == drawn


def test_damaged_storage_gives_an_empty_sheet(page: Page) -> None:
    page.evaluate("sessionStorage.setItem('sketch-photo-drawing', '[[{}]]')")
    page.reload()
    page.wait_for_selector(".draw.empty")
    draw(page, ZIGZAG)
    expect(page.locator(PHOTO)).to_be_visible()


def test_example_goes_on_the_sheet(page: Page) -> None:
    draw(page, ZIGZAG)
    drawn = ink(page)
    page.get_by_role("button", name="Example: shoe").click()
    expected = np.asarray(Image.open(EXAMPLES / "sketches" / "shoe.png").convert("RGB"))
    assert np.abs(canvas(page).astype(int) - expected).max() <= 8  # the PNG is the same strokes, drawn by the canvas
    expect(page.locator(PHOTO)).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    assert ink(page) == drawn


# --- the road to the server -----------------------------------------------------------------------------------------


def frames_of(page: Page) -> list[Any]:
    """What is sent of the drawing from now on, frame by frame."""
    frames: list[Any] = []

    def note(request: Any) -> None:
        if "component_server" in request.url and request.post_data_json["fn_name"] == "redraw":
            frames.append(request.post_data_json["data"])

    page.on("request", note)
    return frames


def test_a_frame_sends_what_is_new(page: Page) -> None:
    frames = frames_of(page)
    with redrawn(page):
        draw(page, ZIGZAG)
    assert frames[0]["onto"] is None
    points = [point for frame in frames for stroke in frame["strokes"] for point in stroke["points"]]
    assert 40 < len(points) < 80
    kept = frames[1]["onto"]
    assert all(frame["onto"] for frame in frames[1:])
    frames.clear()
    with redrawn(page):
        draw(page, ZIGZAG[:2])
    assert frames[0]["onto"] not in (None, kept)
    before = frames[0]["onto"]
    assert max(len(json.dumps(frame)) for frame in frames) < 400
    frames.clear()
    for key in "zy":
        with redrawn(page):
            page.keyboard.press(f"Control+{key}")
    assert [frame["strokes"] for frame in frames] == [[], []]
    assert frames[0]["onto"] == before != frames[1]["onto"]


def test_a_server_that_does_not_know_the_drawing_is_sent_all_of_it(page: Page) -> None:
    with redrawn(page):
        draw(page, ZIGZAG)
    frames = frames_of(page)
    page.route("**/component_server/**", lambda route: route.fulfill(json={"unknown": True}), times=1)
    with redrawn(page):
        draw(page, [(0.5, 0.5)])
    assert frames[0]["onto"] is not None
    assert frames[1]["onto"] is None
    assert len(frames[1]["strokes"]) == 2
    assert len(frames[1]["strokes"][0]["points"]) > 40
    expect(page.locator(".draw .message")).to_be_empty()


def test_a_long_drawing_comes_back_as_a_picture_and_grows_by_strokes(page: Page) -> None:
    strokes = [
        {"colour": "#000000", "width": 4, "points": [[10 + x, 20 + y] for x in range(0, 480, 20)]} for y in range(250)
    ]
    page.evaluate("steps => sessionStorage.setItem('sketch-photo-drawing', JSON.stringify([steps]))", strokes)
    frames = frames_of(page)
    page.reload()
    picture(page, RETURNED)
    assert [list(one) for one in frames[0]["strokes"]] == [["image"]]
    frames.clear()
    with redrawn(page):
        draw(page, [(0.2, 0.8), (0.8, 0.8)])
    assert max(len(json.dumps(frame)) for frame in frames) < 400


def test_late_answer_does_not_bring_a_cleared_drawing_back(page: Page) -> None:
    def late(route: Any) -> None:
        time.sleep(0.5)
        route.continue_()

    page.route("**/component_server/**", late)
    draw(page, ZIGZAG[:2])
    page.get_by_role("button", name="Clear the sheet").click()
    page.wait_for_timeout(1500)
    expect(page.locator(PHOTO)).to_be_hidden()


def test_one_frame_on_its_way_at_a_time(page: Page) -> None:
    flying, most = 0, 0

    def started(request: Any) -> None:
        nonlocal flying, most
        if "component_server" in request.url:
            flying += 1
            most = max(most, flying)

    def ended(request: Any) -> None:
        nonlocal flying
        flying -= "component_server" in request.url

    page.on("request", started)
    page.on("requestfinished", ended)
    draw(page, ZIGZAG)
    picture(page, PHOTO)
    assert most == 1


def test_lost_and_busy_server(browser: Browser, url: str) -> None:
    page, _ = open_page(browser, url)  # the browser itself logs the lost request as an error
    server = "lost"

    def answer(route: Any) -> None:
        nonlocal server
        if server == "lost":
            route.abort()
        elif server == "busy":
            server = "well"
            route.fulfill(json={"busy": True})
        else:
            route.continue_()

    page.route("**/component_server/**", answer)
    draw(page, ZIGZAG)
    expect(page.locator(".draw .message")).to_contain_text("does not answer")
    server = "busy"
    expect(page.locator(".draw .message")).to_contain_text("Many people")
    picture(page, PHOTO)  # it recovers by itself
    expect(page.locator(".draw .message")).to_be_empty()
    page.context.close()
