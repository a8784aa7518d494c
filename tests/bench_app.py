"""How fast the demo is, measured in headless Chromium against the real server.

    python -m tests.bench_app [--weights weights] [--strokes 20]

Starts `python app.py` on a free port and reports: seconds until the page answers; pictures a second while the pen
moves; milliseconds from pen-up to the photo (at full size, lossless), median and 95th percentile, and to the drawing
made from it, which comes after; and, on a sheet of so many strokes, for how many milliseconds pen-up holds up the page
and how many bytes a frame sends.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Sequence

from playwright.sync_api import Page, sync_playwright
from tqdm import tqdm

from tests.browser import CHROMIUM_FLAGS, chromium_path, drawing_area
from tests.server import running_server

STROKE_SECONDS = 2.0
FULL_SHEETS = (0, 300, 1000)  # strokes

# Counts every picture that the page shows, with the time at which it is there to be painted.
WATCH = """() => {
  window.shown = [];
  const image = document.querySelector('.photo img');
  image.addEventListener('load', () => window.shown.push([performance.now(), image.src.slice(5, 15)]));
  document.querySelector('.returned img').addEventListener('load', () => (window.back = performance.now()));
  document.addEventListener('pointerup', () => (window.up = performance.now()), true);
}"""


def stroke(page: Page, number: int) -> tuple[float, float, float]:
    """Draws one spiral of STROKE_SECONDS; returns (pictures a second meanwhile, ms from pen-up to the photo, to the
    drawing made from it)."""
    left, top, side = drawing_area(page)
    page.evaluate("window.shown = []; window.up = null; window.back = null")
    start, turn = time.perf_counter(), number * 0.7

    def at(progress: float) -> tuple[float, float]:
        angle, radius = turn + progress * 4 * math.pi, (0.05 + 0.35 * progress) * side
        return left + side / 2 + radius * math.cos(angle), top + side / 2 + radius * math.sin(angle)

    page.mouse.move(*at(0))
    page.mouse.down()
    while (progress := (time.perf_counter() - start) / STROKE_SECONDS) < 1:
        page.mouse.move(*at(progress))
        page.wait_for_timeout(8)
    page.mouse.up()
    page.wait_for_function("window.up && window.back > window.up")
    page.wait_for_timeout(300)
    shown, up, back = page.evaluate("[window.shown, window.up, window.back]")
    live = [when for when, _ in shown if when <= up]
    return len(live) / STROKE_SECONDS, shown[-1][0] - up, back - up


def full_sheet(page: Page, count: int) -> tuple[float, float, int]:
    """On a sheet of `count` strokes: median milliseconds for which the end of a stroke holds up the page; median bytes
    of a frame's request, and those of the first, which goes out as the page comes back with the whole drawing."""
    sent: list[int] = []
    page.on("request", lambda one: sent.append(len(one.post_data or "")) if "component_server" in one.url else None)
    turns = [(number * 0.7, 20 + number % 200) for number in range(count)]
    points = [[[256 + r * math.cos(a + k / 5), 256 + r * math.sin(a + k / 5)] for k in range(40)] for a, r in turns]
    steps = [[{"colour": "#000000", "width": 4, "points": one}] for one in points]
    page.evaluate("steps => sessionStorage.setItem('sketch-photo-drawing', steps)", json.dumps(steps))
    page.reload()
    page.wait_for_selector("canvas.ink")
    page.wait_for_timeout(2000)
    first, sent[:] = sum(sent), []
    page.evaluate("""() => {
      window.held = [];
      addEventListener('pointerup', () => (window.up = performance.now()), { capture: true });
      addEventListener('pointerup', () => window.held.push(performance.now() - window.up));
    }""")
    left, top, side = drawing_area(page)
    for number in range(9):
        page.mouse.move(left + 0.2 * side, top + 0.1 * (number + 0.5) * side)
        page.mouse.down()
        page.mouse.move(left + 0.8 * side, top + 0.5 * side, steps=10)
        page.mouse.up()
        page.wait_for_timeout(500)
    return statistics.median(page.evaluate("window.held")), statistics.median(sent), first


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, round(share * (len(values) - 1)))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="weights")
    parser.add_argument("--strokes", type=int, default=20)
    options = parser.parse_args()
    with running_server(options.weights, compiled=True) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(with_window=True), args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(server.url)
        page.wait_for_selector("canvas.ink")
        page.evaluate(WATCH)
        server.wait_until_compiled()
        rows = [stroke(page, number) for number in tqdm(range(options.strokes), unit="stroke")]
        sheets = {count: full_sheet(page, count) for count in FULL_SHEETS}
        browser.close()
    rates, delays, backs = zip(*rows, strict=True)
    tqdm.write(f"page answers after          {server.seconds:.1f} s")
    tqdm.write(f"pictures a second, drawing  {statistics.median(rates):.1f} (median of {len(rates)} strokes)")
    for name, times in (("photo  ", delays), ("drawing", backs)):
        tqdm.write(
            f"pen-up to its {name}       {statistics.median(times):.0f} ms, p95 {percentile(times, 0.95):.0f} ms"
        )
    for count, (held, size, first) in sheets.items():
        tqdm.write(f"{count:4} strokes: pen-up holds up {held:.1f} ms, a frame {size:,.0f} bytes, the first {first:,}")


if __name__ == "__main__":
    main()
