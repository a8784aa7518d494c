"""Pictures of the real page for the README: every tab at three widths, light, dark and in forced colours, and a film.

    python -m tests.screenshot [--weights weights] [--out docs/screenshots]
    python -m tests.screenshot --film          only the film, drawing.gif
    python -m tests.screenshot --sheets        instead, a sheet of all of them for each scheme, page-SCHEME.jpg, and the
                                               page that describes the API, api.jpg
    python -m tests.screenshot --drawings      only renews examples/sketches/*.png from the strokes in *.json

The PNGs of the examples are what the canvas itself makes of their strokes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from cyclegan.demo.page import EXAMPLES
from tests.browser import CHROMIUM_FLAGS, RETURNED, ROOT, canvas, chromium_path, open_page, picture
from tests.server import running_server

SIZES = {
    "wide": {"width": 1440, "height": 960},
    "tablet": {"width": 820, "height": 1180},
    "phone": {"width": 390, "height": 844},
}
CANVAS = 512  # pixels: what the strokes of the examples are measured in
FILM_COLOURS = {"red": [[190.0, 300.0], [230.0, 330.0], [280.0, 330.0], [330.0, 300.0]]}
SCHEMES: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "forced": {"forced_colors": "active"},
}
ROW, GAP = 520, 12  # pixels of a sheet of pictures: height of a row, between two pictures
TABS = {"sketch-to-photo": "Sketch → Photo", "photo-to-sketch": "Photo → Sketch"}


def shoot(browser: Browser, url: str, out: Path, example: str) -> None:
    for size, viewport in SIZES.items():
        for scheme, colours in SCHEMES.items():
            page, _ = open_page(browser, url, viewport=viewport, device_scale_factor=1, **colours)
            page.get_by_role("button", name=f"Example: {example}").click()
            picture(page, RETURNED)
            page.mouse.move(0, 0)
            save(page, out / f"draw-{size}-{scheme}.png")
            for name, tab in TABS.items():
                page.get_by_role("tab", name=tab).click()
                page.locator(".gallery-item").locator("visible=true").first.click()
                expect(page.locator(".pictures").locator("visible=true").locator("img")).to_have_count(3)
                page.mouse.move(0, 0)
                save(page, out / f"{name}-{size}-{scheme}.png")
            page.get_by_role("tab", name="Model").click()
            save(page, out / f"model-{size}-{scheme}.png")
            page.context.close()


def shoot_api(browser: Browser, url: str, path: Path) -> None:
    page, _ = open_page(browser, url, viewport=SIZES["wide"], color_scheme="light")
    page.get_by_role("button", name="Use via API").click()
    page.get_by_role("heading", name="API documentation").wait_for()
    page.wait_for_timeout(1000)  # it slides in
    Image.open(BytesIO(page.screenshot())).convert("RGB").save(path, quality=82)
    page.context.close()


def sheet(folder: Path, scheme: str) -> Image.Image:
    """All pictures of a scheme: a row for each tab, a column for each width, without what is far below the fold."""
    rows = []
    for tab in ("draw", *TABS, "model"):
        pictures = [Image.open(folder / f"{tab}-{size}-{scheme}.png").convert("RGB") for size in SIZES]
        shown = [one.crop((0, 0, one.width, min(one.height, 2 * one.width, 1500))) for one in pictures]
        rows.append([one.resize((round(one.width * ROW / one.height), ROW), Image.Resampling.LANCZOS) for one in shown])
    width = max(sum(one.width + GAP for one in row) for row in rows) + GAP
    whole = Image.new("RGB", (width, len(rows) * (ROW + GAP) + GAP), "gray")
    for number, row in enumerate(rows):
        left = GAP
        for one in row:
            whole.paste(one, (left, GAP + number * (ROW + GAP)))
            left += one.width + GAP
    return whole


def film(browser: Browser, url: str, out: Path, example: str) -> None:
    """`drawing.gif`: an example drawn with the mouse, a colour added, and the photo beside it all the while."""
    page, _ = open_page(browser, url, viewport={"width": 1000, "height": 760})
    sheet = page.locator("canvas.ink").bounding_box()
    photo = page.locator(".draw .photo").bounding_box()
    assert sheet
    assert photo
    side = sheet["width"]
    width = photo["x"] + side - sheet["x"]
    clip: Any = {"x": sheet["x"] - 8, "y": sheet["y"] - 8, "width": width + 16, "height": side + 16}
    frames: list[Image.Image] = []

    def draw(points: list[list[float]]) -> None:
        places = [(sheet["x"] + x / CANVAS * side, sheet["y"] + y / CANVAS * side) for x, y, *_ in points]
        page.mouse.move(*places[0])
        page.mouse.down()
        for number, place in enumerate(places[1:]):
            page.mouse.move(*place)
            if number % 8 == 7:
                look()
        page.mouse.up()
        look()

    def look() -> None:
        page.wait_for_timeout(120)
        frames.append(Image.open(BytesIO(page.screenshot(clip=clip))).convert("RGB"))

    for stroke in json.loads((EXAMPLES / "sketches" / f"{example}.json").read_text()):
        draw(stroke["points"])
    for name, points in FILM_COLOURS.items():
        page.get_by_role("button", name=name, exact=True).click()
        draw(points)
    page.wait_for_timeout(500)
    look()
    palette = frames[-1].quantize(128)
    first, *rest = (frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
    pauses = [90] * len(rest) + [2500]
    first.save(out / "drawing.gif", save_all=True, append_images=rest, duration=pauses, loop=0, optimize=True)
    page.context.close()


def save(page: Page, path: Path) -> None:
    page.wait_for_timeout(500)  # Gradio's pictures and tabs fade in
    page.screenshot(path=path, full_page=True)


def renew_drawings(browser: Browser, url: str) -> None:
    page, _ = open_page(browser, url)
    for path in sorted((EXAMPLES / "sketches").glob("*.json")):
        page.get_by_role("button", name=f"Example: {path.stem}").click()
        Image.fromarray(canvas(page)).convert("L").save(path.with_suffix(".png"), optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="weights")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "screenshots")
    parser.add_argument("--example", default="shoe", help="the drawing to show (default: %(default)s)")
    parser.add_argument("--film", action="store_true", help="only the film")
    parser.add_argument("--sheets", action="store_true", help="a sheet of pictures for each scheme instead")
    parser.add_argument("--drawings", action="store_true", help="renew the examples' PNGs instead")
    options = parser.parse_args()
    with running_server(options.weights) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(with_window=True), args=CHROMIUM_FLAGS)
        if options.drawings:
            renew_drawings(browser, server.url)
        elif options.sheets:
            with tempfile.TemporaryDirectory() as folder:
                shoot(browser, server.url, Path(folder), options.example)
                for scheme in SCHEMES:
                    sheet(Path(folder), scheme).save(options.out / f"page-{scheme}.jpg", quality=82)
            shoot_api(browser, server.url, options.out / "api.jpg")
        else:
            options.out.mkdir(parents=True, exist_ok=True)
            if not options.film:
                shoot(browser, server.url, options.out, options.example)
            film(browser, server.url, options.out, options.example)
        browser.close()


if __name__ == "__main__":
    main()
