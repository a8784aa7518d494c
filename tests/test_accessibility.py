"""The page for everyone: axe-core's rules, names, announcements, keyboard, high contrast, phones, large letters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, FilePayload, Locator, Page, ViewportSize, expect

from tests.browser import PHOTO, RETURNED, ZIGZAG, draw, drawing_area, ink, open_page, picture

pytest_plugins = ["tests.browser_fixtures"]

UPLOAD_TABS = {"Sketch → Photo": "Photo", "Photo → Sketch": "Sketch"}
GRADIOS = {'button[aria-label="Add files"]'}  # a button in a button: so Gradio builds its list of files
PHONE: ViewportSize = {"width": 390, "height": 844}

Open = Callable[..., Page]


@pytest.fixture
def open_as(browser: Browser, url: str) -> Iterator[Open]:
    """open_as(**options of the browser's context): the page as somebody else sees it."""
    pages: list[tuple[Page, list[str]]] = []

    def open_it(**options: Any) -> Page:
        pages.append(open_page(browser, url, **options))
        return pages[-1][0]

    yield open_it
    for page, faults in pages:
        page.context.close()
        assert faults == []


def try_an_example(page: Page, tab: str) -> Locator:
    page.get_by_role("tab", name=tab).click()
    panel = page.get_by_role("tabpanel").locator("visible=true")
    panel.locator(".gallery-item").first.click()
    expect(panel.locator(".pictures img")).to_have_count(3)
    return panel


def start_batch(panel: Locator) -> None:
    panel.get_by_role("button", name="Many at once").click()
    buffer = BytesIO()
    Image.effect_noise((40, 40), 60).save(buffer, "PNG")
    files = [FilePayload(name=f"{number}.png", mimeType="image/png", buffer=buffer.getvalue()) for number in range(8)]
    panel.locator(".batch input[type=file]").set_input_files(files)
    expect(panel.locator(".batch .file-preview tr")).to_have_count(8)
    panel.get_by_role("button", name="Translate all").click()
    expect(panel.locator(".status .remark")).to_contain_text("8 of 8")
    expect(panel.locator(".batch .thumbnail-item")).to_have_count(8)


def violations(page: Page) -> list[tuple[str, str]]:
    """(rule, element) for everything that axe-core finds."""
    page.wait_for_timeout(600)  # buttons fade in
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    places = [(rule["id"], node["target"][0]) for rule in found for node in rule["nodes"]]
    return [(rule, place) for rule, place in places if place not in GRADIOS]


@pytest.mark.parametrize("options", [{"color_scheme": "light"}, {"color_scheme": "dark"}, {"forced_colors": "active"}])
def test_axe_finds_nothing_in_any_tab(open_as: Open, options: dict[str, Any]) -> None:
    page = open_as(**options)
    assert violations(page) == []  # still empty
    draw(page, ZIGZAG)
    picture(page, RETURNED)
    assert violations(page) == []
    for tab in UPLOAD_TABS:
        panel = try_an_example(page, tab)
        if tab == "Photo → Sketch":
            start_batch(panel)
        assert violations(page) == []
    page.get_by_role("tab", name="Model").click()
    assert violations(page) == []


# --- for ears -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tab", UPLOAD_TABS)
def test_pictures_have_names_and_are_announced(page: Page, tab: str) -> None:
    page.get_by_role("tab", name=tab).click()
    panel = page.get_by_role("tabpanel").locator("visible=true")
    expect(panel.get_by_role("button", name="Example: apple")).to_be_visible()
    panel = try_an_example(page, tab)
    made = UPLOAD_TABS[tab]
    expect(panel.get_by_role("img", name=made, exact=True)).to_be_visible()
    expect(page.locator("#status [role=status]")).to_have_text(f"{made}: ready.")
    start_batch(panel)
    expect(page.locator("#status [role=status]")).to_have_text("8 of 8 pictures are done.")


def test_each_finished_photo_of_a_drawing_is_announced(page: Page) -> None:
    status = page.locator("#status [role=status]")
    page.evaluate("""() => {
      window.said = [];
      const status = document.querySelector("#status [role=status]");
      new MutationObserver(() => status.textContent && window.said.push(status.textContent)).observe(status,
        { childList: true, characterData: true, subtree: true });
    }""")
    draw(page, ZIGZAG[:2])
    expect(status).to_have_text("Photo: ready.")
    draw(page, ZIGZAG[2:])
    page.wait_for_function("window.said.length === 2")


# --- for keys -------------------------------------------------------------------------------------------------------


def focused(page: Page) -> str:
    return page.evaluate("document.activeElement.title || document.activeElement.tagName")


def test_arrow_keys_in_toolbars(page: Page) -> None:
    page.locator('[data-tool="pen"]').focus()
    page.keyboard.press("ArrowRight")
    assert focused(page) == "Eraser"
    page.keyboard.press("End")
    assert focused(page) == "Start again"
    page.keyboard.press("ArrowRight")
    assert focused(page) == "Black pen"
    page.keyboard.press("ArrowLeft")
    assert focused(page) == "Start again"
    page.keyboard.press("Shift+Tab")  # the slider keeps its own arrows
    assert focused(page) == "INPUT"
    page.keyboard.press("Home")
    assert page.locator(".width input").input_value() == "1"
    page.keyboard.press("Tab")
    assert focused(page) == "Start again"
    page.keyboard.press("Tab")
    assert focused(page) == "black"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="red", exact=True)).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    assert focused(page) == "red"


def test_the_focus_stays_where_there_is_nothing_more_to_undo(page: Page) -> None:
    draw(page, ZIGZAG)
    undo = page.get_by_role("button", name="Undo")
    undo.focus()
    page.keyboard.press("Enter")
    assert ink(page) == 0
    expect(undo).to_be_disabled()
    expect(undo).to_be_focused()
    page.keyboard.press("Enter")  # does nothing
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert ink(page) > 0


def test_a_sheet_that_only_hands_draw_on_is_no_tab_stop(page: Page) -> None:
    page.get_by_role("tab", name="Draw").focus()
    reached = []
    for _ in range(6):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.tagName"))
    assert "CANVAS" not in reached
    assert "INPUT" in reached


# --- for eyes -------------------------------------------------------------------------------------------------------


def test_high_contrast_keeps_swatches_and_what_is_chosen_apart(open_as: Open) -> None:
    page = open_as(forced_colors="active")

    def look(selector: str) -> tuple[str, ...]:
        style = "one => { const s = getComputedStyle(one); return [s.backgroundColor, s.color, s.boxShadow]; }"
        return tuple(page.locator(selector).evaluate(style))

    swatches = [
        page.locator(".colours button").nth(i).evaluate("s => getComputedStyle(s).backgroundColor") for i in range(8)
    ]
    assert len(set(swatches)) == 8
    assert look('.colours [title="black"]')[2] != look('.colours [title="red"]')[2]
    assert look('[data-tool="pen"]')[0] != look('[data-tool="eraser"]')[0]
    draw_tab, other = (look(f'[role="tab"][aria-selected="{selected}"] >> nth=0') for selected in ("true", "false"))
    assert draw_tab[0] != other[0]
    assert draw_tab[0] != draw_tab[1]
    switch = ".tidy [role=switch] >> nth=0"
    on = look(switch)
    page.locator(switch).uncheck()
    page.wait_for_timeout(300)  # it glides
    assert look(switch)[0] != on[0]


def test_high_contrast_shows_gradios_controls_and_what_they_are_set_to(open_as: Open) -> None:
    page = open_as(forced_colors="active")

    def look(control: Locator) -> bytes:
        page.evaluate("document.activeElement.blur()")
        page.mouse.move(0, 0)
        return control.screenshot()

    page.get_by_role("tab", name="Photo → Sketch").click()
    slider = page.locator('input[type="range"]:visible').first
    before = look(slider)
    slider.press("End")
    assert look(slider) != before
    page.get_by_role("tab", name="Sketch → Photo").click()
    box = page.locator('input[type="checkbox"]:not([role="switch"]):visible').first
    before = look(box)
    box.click()
    assert look(box) != before
    button = page.locator("button:is(.lg, .sm)").first
    border = button.evaluate("one => parseFloat(getComputedStyle(one).borderTopWidth)")
    assert border >= 1


def test_nothing_lies_on_a_result_or_is_cut_off_on_a_phone(open_as: Open) -> None:
    page = open_as(viewport=PHONE)
    panel = try_an_example(page, "Photo → Sketch")
    start_batch(panel)
    for block in panel.locator(".pictures > .block:has(img)").all():
        image = block.locator("img").bounding_box()
        assert image
        for over in block.locator('[data-testid="block-label"], .icon-button-wrapper').all():
            box = over.bounding_box()
            assert box
            assert box["y"] + box["height"] <= image["y"] + 1
    for thumbnail in panel.locator(".batch .thumbnail-item").all():
        box = thumbnail.bounding_box()
        assert box
        assert 0 <= box["x"] < box["x"] + box["width"] <= PHONE["width"]
    sliders = panel.locator(".below input[type=range] >> visible=true").all()
    boxes = [box for slider in sliders if (box := slider.bounding_box())]
    assert boxes
    assert all(box["x"] + box["width"] <= PHONE["width"] for box in boxes)


@pytest.mark.parametrize("percent", [115, 200])
def test_large_letters_on_a_phone(open_as: Open, percent: int) -> None:
    page = open_as(viewport=PHONE)
    page.add_style_tag(content=f"html {{ font-size: {percent}% !important; }}")
    page.set_viewport_size({"width": 391, "height": PHONE["height"]})  # Gradio counts its tabs when the width changes
    page.set_viewport_size(PHONE)
    for tab in ("Draw", *UPLOAD_TABS, "Model"):
        expect(page.get_by_role("tab", name=tab, exact=True)).to_be_visible()
    left, _, side = drawing_area(page)
    assert 0 <= left < left + side <= PHONE["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_the_sheet_is_in_sight_on_a_phone_on_its_side(open_as: Open) -> None:
    page = open_as(viewport={"width": 844, "height": 390}, has_touch=True)
    left, top, side = drawing_area(page)
    assert side > 200
    assert top + side <= 390
    beside = page.evaluate(
        """([x, y]) => {
          let one = document.elementFromPoint(x, y);
          const actions = [];
          for (; one; one = one.parentElement) actions.push(getComputedStyle(one).touchAction);
          return actions;
        }""",
        [left + side + 40, 250],
    )
    assert "none" not in beside  # there is room to swipe
    assert page.evaluate("document.documentElement.scrollHeight > innerHeight")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_upload_and_its_result_are_of_one_size(open_as: Open, scheme: str) -> None:
    panel = try_an_example(open_as(color_scheme=scheme), "Photo → Sketch")
    boxes = [image.bounding_box() for image in panel.locator(".pictures img").all()]
    sizes = {(round(box["width"]), round(box["height"]), round(box["y"])) for box in boxes if box}
    assert len(sizes) == 1


# --- for those who hide their fingerprints --------------------------------------------------------------------------

NOISE = """(strength) => {
  const { getImageData } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.getImageData = function (...place) {
    const picture = getImageData.apply(this, place);
    picture.data.forEach((value, i) => (picture.data[i] = value + strength * ((i * 7919) % 3 - 1)));
    return picture;
  };
}"""


def test_a_browser_that_hides_the_canvas_draws_and_saves_no_noise(page: Page) -> None:
    page.evaluate(NOISE, 1)  # as some browsers do, harmless
    draw(page, ZIGZAG[:2])
    picture(page, PHOTO)
    with page.expect_download():
        page.locator('[data-save="sketch"]').click()
    page.evaluate(f"({NOISE})(80);")
    before = page.locator(PHOTO).get_attribute("src")
    draw(page, ZIGZAG[2:])
    expect(page.locator(PHOTO)).not_to_have_attribute("src", before or "")
    picture(page, PHOTO)  # the last one, after which no answer clears the message
    expect(page.locator(".draw .message")).to_be_empty()
    page.locator('[data-save="sketch"]').click()
    expect(page.locator(".draw .message")).to_contain_text("let the page read its canvas")


def test_a_picture_put_together_by_such_a_browser_is_not_saved_as_noise(page: Page) -> None:
    panel = try_an_example(page, "Photo → Sketch")
    page.evaluate(NOISE, 1)
    with page.expect_download():
        panel.get_by_role("button", name="Save both").click()
    page.evaluate(f"({NOISE})(80);")
    panel.get_by_role("button", name="Save both").click()
    expect(panel.locator(".alert .message")).to_contain_text("let the page read its canvas")
    with page.expect_download():
        panel.get_by_role("button", name="Save sketch").click()
    expect(panel.locator(".alert .message")).to_have_count(0)
