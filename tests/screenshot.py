"""Pictures of the real page for the README: every tab, wide and on a phone, light and dark.

    python -m tests.screenshot [--weights weights] [--out docs/screenshots]
    python -m tests.screenshot --drawings      only renews examples/sketches/*.png from the strokes in *.json

The PNGs of the examples are what the canvas itself makes of their strokes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from demo.page import EXAMPLES
from tests.browser import CHROMIUM_FLAGS, RETURNED, ROOT, canvas, chromium_path, open_page, picture, running_app

SIZES = {"wide": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
TABS = {"sketch-to-photo": "Sketch → Photo", "photo-to-sketch": "Photo → Sketch"}


def shoot(browser: Browser, url: str, out: Path, example: str) -> None:
    for size, viewport in SIZES.items():
        for scheme in ("light", "dark"):
            page, _ = open_page(browser, url, viewport=viewport, color_scheme=scheme, device_scale_factor=1.5)
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
    parser.add_argument("--drawings", action="store_true", help="renew the examples' PNGs instead")
    options = parser.parse_args()
    with running_app(options.weights) as (url, _), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_FLAGS)
        if options.drawings:
            renew_drawings(browser, url)
        else:
            options.out.mkdir(parents=True, exist_ok=True)
            shoot(browser, url, options.out, options.example)
        browser.close()


if __name__ == "__main__":
    main()
