"""Around the canvas (photo.js, extras.js): tidy, compare, realism, six more, time-lapse, save, edit lines."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Page, expect

from cyclegan import images
from cyclegan.colour.palettes import COLOURWAYS
from cyclegan.demo.data_urls import data_url
from cyclegan.demo.page import EXAMPLES
from cyclegan.inference import Translator
from tests.browser import PATIENCE, PHOTO, RETURNED, ZIGZAG, canvas, decode, draw, ink, picture, redrawn
from tests.test_canvas import BLUE, RED, choose

pytest_plugins = ["tests.browser_fixtures"]

# --- pictures on the sheet ------------------------------------------------------------------------------------------


def edit_lines(page: Page, image: Image.Image, photo: Image.Image | None = None) -> None:
    """What the Photo → Sketch tab does with the sketch of a photo."""
    page.evaluate(
        "detail => document.dispatchEvent(new CustomEvent('edit-lines', { detail }))",
        {"image": data_url(image), "photo": photo and data_url(photo)},
    )


def test_edit_lines(page: Page, make_drawing: Callable[..., Image.Image]) -> None:
    with redrawn(page):
        draw(page, ZIGZAG)
    drawn = ink(page)
    sketch = make_drawing((512, 256))
    with redrawn(page):
        edit_lines(page, sketch)
    expected = np.asarray(images.fit_square(sketch, 512))
    assert np.array_equal(canvas(page), expected)
    page.keyboard.press("Control+z")
    assert ink(page) == drawn
    page.keyboard.press("Control+y")
    choose(page, "Eraser")
    draw(page, [(0.5, 0.4), (0.5, 0.6)])
    edited = canvas(page)
    assert (edited >= expected).all()
    assert (edited > expected).any()
    page.reload()
    expect(page.locator(PHOTO)).to_be_visible()
    assert np.array_equal(canvas(page), edited)
    page.keyboard.press("Control+z")
    assert np.array_equal(canvas(page), expected)


def test_edit_lines_in_the_colours_of_their_photo(page: Page, make_drawing: Callable[..., Image.Image]) -> None:
    ground, switch = page.locator(".ground"), page.get_by_role("switch", name="The photo's colours")
    expect(ground).to_be_hidden()
    expect(switch).to_be_hidden()
    edit_lines(page, make_drawing((512, 256)), Image.new("RGB", (1024, 512), "red"))
    expect(ground).to_be_visible()
    expect(switch).to_be_checked()
    lines = canvas(page)
    assert (lines == np.asarray(images.fit_square(make_drawing((512, 256)), 512))).all()  # the colours lie under it
    told = picture(page, RETURNED)
    assert told.shape == (512, 512, 3)
    assert (told[:127] == 255).all()

    red = picture(page, PHOTO)
    with redrawn(page):
        switch.click()
    expect(ground).to_be_hidden()
    assert not np.array_equal(picture(page, PHOTO), red)
    with redrawn(page):
        page.keyboard.press("Control+z")
    assert np.array_equal(picture(page, PHOTO), red)
    expect(switch).to_be_checked()
    with redrawn(page):
        draw(page, [(0.3, 0.4), (0.6, 0.5)])
    edited = picture(page, PHOTO)
    assert not np.array_equal(edited, red)
    page.reload()
    expect(ground).to_be_visible()
    assert np.array_equal(picture(page, PHOTO), edited)
    page.get_by_role("button", name="Six more").click()
    page.get_by_role("button", name="Take this one: cooler").click()
    assert not np.array_equal(picture(page, PHOTO), edited)
    expect(switch).to_be_checked()
    page.get_by_role("button", name="Clear the sheet").click()
    expect(ground).to_be_hidden()
    expect(switch).to_be_hidden()


def test_a_coloured_picture_is_lines_and_colours(page: Page) -> None:
    picture_of = Image.new("RGB", (512, 512), "white")
    picture_of.paste(RED, (100, 200, 400, 300))
    picture_of.paste("black", (250, 100, 260, 400))
    edit_lines(page, picture_of)
    page.wait_for_selector(".draw:not(.empty)")
    assert np.array_equal(canvas(page), np.asarray(picture_of))
    choose(page, "blue")
    draw(page, [(0.3, 0.5), (0.7, 0.5)])
    assert canvas(page)[256, 200].tolist() == list(BLUE)
    assert canvas(page)[256, 255].tolist() == [0, 0, 0]


def test_a_picture_that_is_none(page: Page) -> None:
    draw(page, ZIGZAG)
    drawn = ink(page)
    picture(page, PHOTO)
    page.evaluate(
        "document.dispatchEvent(new CustomEvent('edit-lines', { detail: { image: 'data:image/png;base64,AAAA' } }))"
    )
    expect(page.locator(".draw .message")).to_contain_text("could not be put on the sheet")
    assert ink(page) == drawn


def test_a_full_store_keeps_the_drawing_without_its_past(page: Page) -> None:
    draw(page, ZIGZAG)
    edit_lines(page, Image.effect_noise((512, 512), 60))
    page.wait_for_function("sessionStorage.getItem('sketch-photo-drawing')?.length > 100_000")
    page.evaluate("""() => {
        const room = 5 * 2 ** 20 - sessionStorage.getItem("sketch-photo-drawing").length - 300;
        sessionStorage.setItem("other", "x".repeat(room));
    }""")
    draw(page, ZIGZAG)
    drawn = canvas(page)
    page.reload()
    expect(page.locator(PHOTO)).to_be_visible()
    assert np.array_equal(canvas(page), drawn)
    page.keyboard.press("Control+z")
    assert ink(page) == 0


# --- what is done with the photo ------------------------------------------------------------------------------------


def test_compare_wipes_the_drawing_over_the_photo(page: Page) -> None:
    slider = page.get_by_label("Compare")
    expect(slider).to_be_disabled()
    draw(page, ZIGZAG)
    picture(page, PHOTO)

    def look() -> np.ndarray:
        return decode("," + base64.b64encode(page.locator(".photo .sheet").screenshot()).decode())[20:-20, 20:-20]

    photo = look()
    slider.focus()
    page.keyboard.press("End")
    drawing = look()
    assert np.abs(photo.astype(int) - drawing).mean() > 10
    slider.fill("50")
    half, middle = look(), photo.shape[1] // 2
    assert np.array_equal(half[:, : middle - 3], drawing[:, : middle - 3])
    assert np.array_equal(half[:, middle + 3 :], photo[:, middle + 3 :])
    page.keyboard.press("Home")
    assert np.array_equal(look(), photo)


def test_save(page: Page) -> None:
    expect(page.locator('[data-save="both"]')).to_be_disabled()
    draw(page, ZIGZAG)
    photo = picture(page, PHOTO)

    def saved(name: str) -> np.ndarray:
        with page.expect_download() as download:
            page.locator(".saves").get_by_role("button", name=name).click()
        assert download.value.suggested_filename.endswith(".png")
        return np.asarray(Image.open(download.value.path()).convert("RGB"))

    assert np.array_equal(saved("Photo"), photo)
    assert np.array_equal(saved("Drawing"), canvas(page))
    both = saved("Both")
    assert both.shape == (512, 1024, 3)
    assert np.array_equal(both[:, :512], canvas(page))
    large = Image.fromarray(photo).resize((512, 512), Image.Resampling.BICUBIC)
    assert np.abs(both[:, 512:].astype(int) - np.asarray(large)).mean() < 8


def example(page: Page, name: str = "shoe") -> np.ndarray:
    """Puts an example on the sheet and waits for its photo, which is returned."""
    page.get_by_role("button", name=f"Example: {name}").click()
    return picture(page, PHOTO)


def put_small_bag(page: Page) -> None:
    sheet = Image.new("RGB", (512, 512), "white")
    sheet.paste(Image.open(EXAMPLES / "sketches" / "bag.png").convert("RGB").resize((200, 200)), (30, 40))
    edit_lines(page, sheet)


def test_tidy_and_what_the_model_sees(page: Page, translator: Translator) -> None:
    remark, peek, look = page.locator(".remark"), page.locator(".peek"), page.get_by_role("button", name="model sees")
    put_small_bag(page)
    expect(remark).to_contain_text("enlarged")
    look.click()
    expect(look).to_have_attribute("aria-pressed", "true")
    tidied = picture(page, ".peek")
    raw = np.asarray(images.fit_square(Image.fromarray(canvas(page)), 64))
    assert not np.array_equal(tidied, raw)
    page.get_by_role("switch", name="Tidy my drawing").press("Space")
    expect(remark).to_be_empty()
    assert np.array_equal(picture(page, ".peek"), raw)
    photo = picture(page, PHOTO)
    seeds = range(len(COLOURWAYS))
    assert any(
        np.array_equal(photo, np.asarray(translator.sketch_to_photo(Image.fromarray(raw), seed, normalise=False)))
        for seed in seeds
    )
    draw(page, ZIGZAG)
    expect(peek).to_be_hidden()  # it never covers what is being drawn
    expect(look).to_have_attribute("aria-pressed", "false")


def test_realism_shows_the_critics_opinion(page: Page) -> None:
    photo, returned = example(page), picture(page, RETURNED)
    realism = page.get_by_role("button", name="Realism")
    realism.click()
    expect(page.locator(".opinion")).to_contain_text("opinion")
    assert not np.array_equal(picture(page, PHOTO), photo)
    assert not np.array_equal(picture(page, RETURNED), returned)
    realism.click()
    expect(page.locator(".opinion")).to_be_empty()
    assert np.array_equal(picture(page, PHOTO), photo)
    assert np.array_equal(picture(page, RETURNED), returned)


def test_one_of_six_more_gives_the_drawing_its_colours(page: Page) -> None:
    expect(page.get_by_role("button", name="Six more")).to_be_disabled()
    before = example(page)
    drawn = canvas(page)
    page.get_by_role("button", name="Six more").click()
    others = page.locator(".six").get_by_role("button")
    expect(others).to_have_count(6)
    others.nth(2).focus()
    page.keyboard.press("Enter")
    page.wait_for_function("JSON.parse(sessionStorage.getItem('sketch-photo-drawing'))?.at(-1).at(-1).seed")
    assert np.array_equal(canvas(page), drawn)
    page.wait_for_function("document.querySelector('.extras .six').children.length == 6")
    picture(page, RETURNED)
    assert not np.array_equal(picture(page, PHOTO), before)
    with redrawn(page):
        page.keyboard.press("Control+z")
    assert np.array_equal(canvas(page), drawn)
    assert np.array_equal(picture(page, PHOTO), before)
    expect(others).to_have_count(6)
    page.get_by_role("button", name="Example: apple").click()  # they are of another drawing now
    expect(others).to_have_count(0)


def test_of_a_coloured_drawing_six_more_are_other_drawings(page: Page) -> None:
    example(page)
    choose(page, "red")
    draw(page, ZIGZAG)
    drawn = canvas(page)
    page.get_by_role("button", name="Six more").click()
    others = page.locator(".six").get_by_role("button")
    expect(others).to_have_count(6)
    others.first.click()
    page.wait_for_function("JSON.parse(sessionStorage.getItem('sketch-photo-drawing'))?.at(-1).at(-1).image")
    changed = canvas(page)
    assert not np.array_equal(changed, drawn)
    assert np.abs(changed.astype(int) - drawn[:, ::-1]).mean() < 4  # mirrored
    page.keyboard.press("Control+z")
    assert np.array_equal(canvas(page), drawn)


def test_time_lapse(page: Page) -> None:
    example(page)
    drawn = canvas(page)
    page.get_by_role("button", name="Time-lapse").click()
    expect(page.locator(".job")).to_be_visible()
    page.wait_for_function("document.querySelector('progress').value > 0.1")
    link = page.get_by_role("link", name="Save the time-lapse")
    expect(link).to_be_visible(timeout=3 * PATIENCE)
    expect(page.locator(".job")).to_be_hidden()
    with page.expect_download() as download:
        link.click()
    film: Any = Image.open(download.value.path())
    assert (film.format, film.n_frames > 20, film.is_animated) == ("GIF", True, True)
    film.seek(0)
    first = (np.asarray(film.convert("L"))[:, :256] < 128).sum()
    film.seek(film.n_frames - 1)
    last = np.asarray(film.convert("RGB"))[:, :256]
    assert 0 < first < (last.sum(axis=2) < 384).sum() / 5
    expected = np.asarray(Image.fromarray(drawn).resize((256, 256), Image.Resampling.LANCZOS))
    assert np.abs(last.astype(int) - expected).mean() < 4


def test_time_lapse_can_be_stopped(page: Page) -> None:
    example(page)
    page.get_by_role("button", name="Time-lapse").click()
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".job")).to_be_hidden()
    page.wait_for_timeout(500)
    expect(page.locator(".film")).to_be_hidden()
    draw(page, ZIGZAG)
    picture(page, PHOTO)


def test_extras_wait_for_a_busy_server(page: Page) -> None:
    example(page)
    picture(page, RETURNED)
    busy = {"busy": True}
    page.route("**/component_server/**", lambda route: route.fulfill(json=busy), times=1)
    page.get_by_role("button", name="Six more").click()
    expect(page.locator(".job")).to_contain_text("One moment")
    expect(page.locator(".six img")).to_have_count(6)
    expect(page.locator(".job")).to_be_hidden()
