"""The Model tab: all that may lie beside weights, nothing of it, and what a stranger put there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from cyclegan.demo import model
from cyclegan.demo.menu import Menu
from cyclegan.demo.model import Card, CardImage, pictures, read_card, scores, seen, to_html
from cyclegan.demo.page import build_demo
from cyclegan.inference import Translator
from cyclegan.weights import StateDict, save_weights
from tests.browser import ROOT, open_page, serve
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

[bad](javascript:alert(1)) ${document.title='taken'} {{#with}} [file](generator_G.pth) [good](https://elsewhere.example/page)

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
    demo = build_demo(Menu.of(Translator.from_pretrained(folder, device="cpu")))
    page, faults = open_page(browser, serve(demo))
    page.get_by_role("tab", name="Model").click()
    return page, faults, demo.close


# --- pieces ---------------------------------------------------------------------------------------------------------


def test_card_in_pieces(tmp_path: Path) -> None:
    picture = grid(tmp_path / "samples.jpg")
    (tmp_path / "README.md").write_text(
        "---\na: b\n---\n# Card\n\nLead.\n\n![Grid](samples.jpg)\n\nEnd ![no](none.png)", encoding="utf-8"
    )
    card = read_card(tmp_path)
    assert (card.title, card.lead) == ("Card", "<p>Lead.</p>")
    assert card.parts == [
        "<h1>Card</h1>\n<p>Lead.</p>\n<p></p>", CardImage(picture, "Grid"), "<p>End </p>",
    ]  # fmt: skip


def test_no_card(tmp_path: Path) -> None:
    assert read_card(tmp_path) == Card()


def test_pictures_outside_the_folder_and_broken_ones_are_not_shown(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    secret = grid(tmp_path / "secret.png")
    (folder / "broken.png").write_bytes(b"hello")
    (folder / "README.md").write_text(
        f"![a](../secret.png)![b]({secret})![c](broken.png)![d]()![e](config.json)![](%00)"
    )
    assert [part for part in read_card(folder).parts if isinstance(part, CardImage)] == []
    assert pictures(folder) == []


def test_each_picture_of_a_card_is_opened_once_and_not_endlessly_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []
    monkeypatch.setattr(model, "_openable", lambda path, _: opened.append(path))
    (tmp_path / "README.md").write_text("![a](a.png)\n\n" * 99 + "".join(f"![x]({n}.png)" for n in range(99)))
    read_card(tmp_path)
    assert len(opened) == len(set(opened)) == model.MAX_PICTURES


LINKED = '<p><a href="https://a.b" rel="nofollow noopener" target="_blank">x</a></p>'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a < b", "<p>a &lt; b</p>"),
        ("`<b>`", "<p><code>&lt;b&gt;</code></p>"),
        ("<b onclick='a'>", "<p>&lt;b onclick='a'&gt;</p>"),
        ("![x](https://a.b/c.png)y", "<p>y</p>"),
        ("[x](javascript:alert)", "<p>[x](javascript:alert)</p>"),
        ("[x](file.pth)", "<p>x</p>"),
        ("[x](//a.b)", "<p>x</p>"),
        ("[x](mailto:a@b)", "<p>x</p>"),
        ("[x](https://a.b)", LINKED),
        ("[x][y]\n\n[y]: https://a.b", LINKED),
        ("<https://a.b>", LINKED.replace(">x<", ">https://a.b<")),
        ("```mermaid\nA", "<pre><code>A</code></pre>"),
        ("${alert(1)} {{x}}", "<p>&#36;&#123;alert(1)} &#123;&#123;x}}</p>"),
    ],
)
def test_text_of_strangers(text: str, expected: str) -> None:
    assert to_html(text) == expected


BRACKETS = {
    "pictures": "![", "pictures in pictures": "![[](", "links": "[a](", "stars": "a***b__ ", "quotes": ">a\n",
    "references": "b\n[c", "ends of links": "a](", "tags": "<a ", "bars": "|",
}  # fmt: skip


def test_no_card_holds_the_start(tmp_path: Path) -> None:
    """500 kB of what makes a parser look back; with regular expressions 8 kB took 25 seconds."""
    for name, piece in BRACKETS.items():
        (tmp_path / name).mkdir()
        text = "# Card\n\n" + piece * (500_000 // len(piece))
        (tmp_path / name / "README.md").write_text(text, encoding="utf-8")
    code = (
        "import sys, pathlib; from cyclegan.demo.model import read_card\n"
        "for name in sys.argv[1:]: print(name, flush=True); read_card(pathlib.Path(name))"
    )
    folders = [tmp_path / name for name in BRACKETS]
    subprocess.run([sys.executable, "-c", code, *folders], cwd=ROOT, timeout=120, check=True)


def test_scores_as_tables(tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").write_text(json.dumps(SCORES))
    assert "<td>colour distance</td>\n<td>12.5</td>\n<td>0</td>" in scores(tmp_path)


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
    (weights_folder / "README.md").write_text(
        "# Our card\n\nDraws.\n\n![Grid](samples.jpg)\n\n| a | b |\n|---|---|\n| c | d |\n"
    )
    (weights_folder / "evaluation.json").write_text(json.dumps(SCORES))
    grid(weights_folder / "samples.jpg"), grid(weights_folder / "losses.png")
    for number in (1000, 12000):
        grid(weights_folder / "learning" / f"{number:07}.jpg")
    page, faults, close = open_model_tab(browser, weights_folder)
    panel = page.get_by_role("tabpanel").locator("visible=true")
    expect(panel.get_by_role("heading", name="Our card")).to_be_visible()
    expect(panel.locator(".model img[src*='samples.jpg']").first).to_be_visible()
    expect(panel.locator("td", has_text="colour distance")).not_to_be_visible()
    expect(panel.get_by_role("cell", name="c", exact=True)).not_to_be_visible()
    assert panel.bounding_box()["height"] < 900  # type: ignore[index]
    panel.get_by_role("button", name="Scores").click()
    expect(panel.locator("td", has_text="colour distance")).to_be_visible()
    panel.get_by_role("button", name="More pictures").click()
    expect(panel.locator(".model img[src*='losses.png']")).to_be_visible()
    panel.get_by_role("button", name="How it learned").click()
    expect(panel.locator(".learning")).to_contain_text("12,000 pictures seen")
    panel.get_by_role("button", name="The whole model card").click()
    expect(panel.get_by_role("cell", name="c", exact=True)).to_be_visible()
    panel.get_by_role("button", name="Settings of the training").click()
    expect(panel.locator("td", has_text="753")).to_be_visible()
    page.context.close()
    close()
    assert faults == []


def test_the_page_does_not_jump_when_the_tab_opens(browser: Browser, weights_folder: Path) -> None:
    """Gradio's preview of a gallery focuses its thumbnail, which scrolled the page there."""
    grid(weights_folder / "samples.jpg")
    for number in range(1, 9):
        grid(weights_folder / "learning" / f"{number:07}.jpg")
    page, faults, close = open_model_tab(browser, weights_folder)
    page.wait_for_timeout(1000)
    assert page.evaluate("[scrollY, document.activeElement.closest('.learning')]") == [0, None]
    top = page.evaluate("scrollY")
    page.get_by_role("button", name="How it learned").click()
    page.wait_for_timeout(1000)
    assert abs(page.evaluate("scrollY") - top) < 400  # at most what brings the fold's button into view
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
    panel.get_by_role("button", name="The whole model card").click()
    expect(panel.locator(".card img[src*='samples.jpg']")).to_be_visible()
    page.wait_for_timeout(500)
    assert panel.locator("img").count() == 2
    assert panel.locator("script, iframe, .mermaid, svg[id^=mermaid]").count() == 0
    links = panel.locator("a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert "https://elsewhere.example/page" in links
    assert all(link.startswith("https://") for link in links)
    assert page.title() == "Sketch ↔ Photo"
    page.context.close()
    close()
    assert faults == []
