"""The Model tab: all that may lie beside weights, nothing of it, and what a stranger put there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from cyclegan.inference import Translator
from cyclegan.weights import StateDict, save_weights
from demo.model import Picture, card, pictures, safe, scores, seen
from demo.page import build_demo
from tests.browser import open_page, serve
from tests.conftest import TINY

pytest_plugins = ["tests.browser_fixtures"]

SCORES = {
    "photos": 7,
    "sketch_to_photo": {"colour distance": {"best": 0, "lines": 12.5, "floor": 2.0, "ceiling": 9.0}},
    "photo_to_sketch": {"ink ratio": {"best": 1, "photos": 0.8, "floor": 0.9, "ceiling": 4.0}},
}
HOSTILE = """---
title: <script>alert(1)</script>
---
# Card <img src="https://elsewhere.example/a.png" onerror="document.title='taken'">

![far](https://elsewhere.example/b.png) ![up](../secret.png) ![reference][far] ![grid](samples.jpg "Grid")

<script>document.title = "taken"</script><iframe src="https://elsewhere.example/"></iframe>

[bad](javascript:alert(1)) [file](generator_G.pth) [good](https://elsewhere.example/page)

```mermaid
flowchart TD
A@{ img: "https://elsewhere.example/c.png" }
```

<div class="mermaid">A@{ img: "https://elsewhere.example/d.png" }</div>

[far]: https://elsewhere.example/e.png
"""


def grid(path: Path, colour: str = "red") -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (60, 40), colour).save(path)
    return path


def open_model_tab(browser: Browser, folder: Path) -> tuple[Page, list[str], Callable[[], None]]:
    demo = build_demo(Translator.from_pretrained(folder, device="cpu"))
    page, faults = open_page(browser, serve(demo))
    page.get_by_role("tab", name="Model").click()
    return page, faults, demo.close


# --- pieces ---------------------------------------------------------------------------------------------------------


def test_card_in_pieces(tmp_path: Path) -> None:
    picture = grid(tmp_path / "samples.jpg")
    (tmp_path / "README.md").write_text("---\na: b\n---\n# Card\n\n![Grid](samples.jpg)\n\nEnd ![no](none.png)")
    assert list(card(tmp_path)) == ["# Card\n\n", Picture(picture, "Grid"), "\n\nEnd "]


def test_no_card(tmp_path: Path) -> None:
    assert list(card(tmp_path)) == []


def test_pictures_outside_the_folder_and_broken_ones_are_not_shown(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    secret = grid(tmp_path / "secret.png")
    (folder / "broken.png").write_bytes(b"hello")
    (folder / "README.md").write_text(f"![a](../secret.png)![b]({secret})![c](broken.png)![d]()![e](config.json)")
    assert [part for part in card(folder) if isinstance(part, Picture)] == []
    assert pictures(folder) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a < b", "a < b"),
        ("`<b>`", "`<\u200bb>`"),
        ("![x](https://a.b/c.png)", "[x](https://a.b/c.png)"),
        ("[x](javascript:alert)", "x"),
        ("[x](file.pth)", "x"),
        ("[x](https://a.b)", "[x](https://a.b)"),
        ("```mermaid\nA", "```\nA"),
        ("```python\nA", "```python\nA"),
    ],
)
def test_text_of_strangers(text: str, expected: str) -> None:
    assert safe(text) == expected


def test_scores_as_tables(tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").write_text(json.dumps(SCORES))
    assert "| colour distance | 12.5 | 0 | 2 | 9 |" in scores(tmp_path)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"sketch_to_photo": {}, "photo_to_sketch": {"a": {"b": "c"}}, "photos": 1}', "[" * 9999],
)
def test_scores_of_another_kind_are_left_out(tmp_path: Path, text: str) -> None:
    (tmp_path / "evaluation.json").write_text(text)
    assert scores(tmp_path) == ""
    assert scores(tmp_path / "nowhere") == ""


def test_captions() -> None:
    assert [seen(Path(name)) for name in ("0012000.jpg", "end.jpg")] == ["12,000 pictures seen", "end"]


# --- on the page ----------------------------------------------------------------------------------------------------


def test_everything_that_is_there(browser: Browser, weights_folder: Path, states: dict[str, StateDict]) -> None:
    save_weights(weights_folder, states, TINY.model_copy(update={"training": {"steps": 753}}))
    (weights_folder / "README.md").write_text("# Our card\n\n![Grid](samples.jpg)\n\n| a | b |\n|---|---|\n| c | d |\n")
    (weights_folder / "evaluation.json").write_text(json.dumps(SCORES))
    grid(weights_folder / "samples.jpg"), grid(weights_folder / "losses.png")
    for number in (1000, 12000):
        grid(weights_folder / "learning" / f"{number:07}.jpg")
    page, faults, close = open_model_tab(browser, weights_folder)
    panel = page.get_by_role("tabpanel").locator("visible=true")
    expect(panel.get_by_role("heading", name="Our card")).to_be_visible()
    expect(panel.locator("td", has_text="colour distance")).to_be_visible()
    expect(panel.locator(".model img[src*='samples.jpg']")).to_have_count(1)
    expect(panel.locator(".model img[src*='losses.png']")).to_have_count(1)
    expect(panel.get_by_role("heading", name="Watch it learn")).to_be_visible()
    expect(panel.locator(".learning")).to_contain_text("12,000 pictures seen")
    panel.get_by_role("button", name="Settings of the training").click()
    expect(panel.locator("td", has_text="753")).to_be_visible()
    page.context.close()
    close()
    assert faults == []


def test_weights_alone_are_named_and_nothing_is_missed(browser: Browser, weights_folder: Path) -> None:
    page, faults, close = open_model_tab(browser, weights_folder)
    panel = page.get_by_role("tabpanel").locator("visible=true")
    expect(panel).to_contain_text("64×64 pixels")
    for word in ("Scores", "learn", "Settings"):
        expect(panel).not_to_contain_text(word)
    expect(panel.locator("img")).to_have_count(0)
    page.context.close()
    close()
    assert faults == []


def test_a_strangers_card_does_nothing(browser: Browser, weights_folder: Path) -> None:
    """The fixture's list of faults holds every request to another host."""
    (weights_folder / "README.md").write_text(HOSTILE)
    grid(weights_folder / "samples.jpg")
    grid(weights_folder.parent / "secret.png")
    page, faults, close = open_model_tab(browser, weights_folder)
    panel = page.get_by_role("tabpanel").locator("visible=true")
    expect(panel.get_by_role("heading", name="Card")).to_be_visible()
    expect(panel.locator(".model img[src*='samples.jpg']")).to_be_visible()
    page.wait_for_timeout(500)
    assert panel.locator("img").count() == 1
    assert panel.locator("script, iframe, .mermaid, svg[id^=mermaid]").count() == 0
    links = panel.locator("a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert "https://elsewhere.example/page" in links
    assert all(link.startswith("https://") for link in links)
    assert page.title() == "Sketch ↔ Photo"
    page.context.close()
    close()
    assert faults == []
