"""How fast the demo is, measured in headless Chromium against the real server.

    python -m tests.bench_app [--weights weights] [--strokes 20]

Starts `python app.py` on a free port and reports: seconds until the page answers; pictures a second while the pen
moves; milliseconds from pen-up to the last picture (lossless, with its round trip), median and 95th percentile.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time

from playwright.sync_api import Page, sync_playwright
from tqdm import tqdm

from tests.browser import CHROMIUM_FLAGS, chromium_path, drawing_area
from tests.server import running_server

STROKE_SECONDS = 2.0

# Counts every picture that the page shows, with the time at which it is there to be painted.
WATCH = """() => {
  window.shown = [];
  const image = document.querySelector('.photo img');
  image.addEventListener('load', () => window.shown.push([performance.now(), image.src.slice(5, 15)]));
  document.addEventListener('pointerup', () => (window.up = performance.now()), true);
}"""


def stroke(page: Page, number: int) -> tuple[float, float]:
    """Draws one spiral of STROKE_SECONDS; returns (pictures a second meanwhile, ms from pen-up to the last picture)."""
    left, top, side = drawing_area(page)
    page.evaluate("window.shown = []; window.up = null")
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
    page.wait_for_function("window.up && window.shown.some(([when, kind]) => when > up && kind === 'image/png;')")
    page.wait_for_timeout(300)
    shown, up = page.evaluate("[window.shown, window.up]")
    live = [when for when, _ in shown if when <= up]
    return len(live) / STROKE_SECONDS, shown[-1][0] - up


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, round(share * (len(values) - 1)))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="weights")
    parser.add_argument("--strokes", type=int, default=20)
    options = parser.parse_args()
    with running_server(options.weights) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(server.url)
        page.wait_for_selector("canvas.ink")
        page.evaluate(WATCH)
        rows = [stroke(page, number) for number in tqdm(range(options.strokes), unit="stroke")]
        browser.close()
    rates, delays = [row[0] for row in rows], [row[1] for row in rows]
    tqdm.write(f"page answers after          {server.seconds:.1f} s")
    tqdm.write(f"pictures a second, drawing  {statistics.median(rates):.1f} (median of {len(rates)} strokes)")
    tqdm.write(f"pen-up to last picture      {statistics.median(delays):.0f} ms, p95 {percentile(delays, 0.95):.0f} ms")


if __name__ == "__main__":
    main()
