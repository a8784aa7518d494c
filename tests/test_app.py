"""The demo's page, tabs for uploads and command line; the Draw tab has test_canvas.py."""

from __future__ import annotations

import json
import socket
import struct
import urllib.error
import urllib.parse
import urllib.request
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

import app
from cyclegan.inference import Translator
from cyclegan.weights import StateDict, save_weights
from demo.page import build_demo
from tests.browser import PHOTO, ZIGZAG, canvas, draw, ink, open_page, picture, running_app, serve
from tests.conftest import TINY

pytest_plugins = ["tests.browser_fixtures"]

NOBODY = "http://127.0.0.1:9"  # nothing listens on the discard port

# --- pictures of one's own ------------------------------------------------------------------------------------------

TABS = ["Sketch → Photo", "Photo → Sketch"]


def upload(page: Page, name: str, content: bytes, mime: str = "image/png") -> None:
    file_input = page.locator("input[type=file]").locator("visible=true").or_(page.locator("input[type=file]")).last
    file_input.set_input_files({"name": name, "mimeType": mime, "buffer": content})


def png(width: int, height: int) -> bytes:
    buffer = BytesIO()
    Image.effect_noise((width, height), 60).save(buffer, "PNG")
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size it does not hold."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(b"\0" * 99))]
    parts = [
        struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in (*chunks, (b"IEND", b""))
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


BAD_FILES = [
    ("text.png", b"hello", "not an image"),
    ("empty.png", b"", "empty"),
    ("cut.png", png(300, 200)[:5000], "damaged"),
    ("drawing.svg", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
    ("huge.png", png_header(20000, 20000), "megapixels"),
    ("large.png", png_header(13000, 13000), "megapixels"),
    ("dot.png", png(1, 1), "at least"),
    ("line.png", png(5000, 2), "at least"),
]


@pytest.mark.parametrize("tab", TABS)
def test_upload_and_bad_files(page: Page, tab: str) -> None:
    page.get_by_role("tab", name=tab).click()
    panel = page.get_by_role("tabpanel").locator("visible=true")
    for name, content, words in BAD_FILES:
        upload(page, name, content, "image/svg+xml" if name.endswith("svg") else "image/png")
        message = panel.locator(".message")
        expect(message).to_contain_text(words)
        expect(message).to_contain_text(name)
        assert "/" not in message.inner_text().replace("data/", "")
        assert message.inner_text().count(". ") == 0
    upload(page, "good.png", png(300, 200))
    pictures = panel.locator(".pictures img")
    expect(pictures).to_have_count(3)
    expect(panel.locator(".message")).to_have_count(0)
    given, made, back = (np.asarray(_fetch(page, pictures.nth(i).get_attribute("src") or "")) for i in range(3))
    assert given.shape == made.shape == back.shape == (200, 300, 3)
    assert np.abs(made.astype(int) - given).mean() > 10
    expect(page.locator("#took")).to_contain_text("ms")


def _fetch(page: Page, address: str) -> Image.Image:
    return Image.open(BytesIO(page.request.get(address).body())).convert("RGB")


@pytest.mark.parametrize("tab", TABS)
def test_example_in_upload_tab(page: Page, tab: str) -> None:
    page.get_by_role("tab", name=tab).click()
    page.locator(".gallery-item").locator("visible=true").nth(1).click()
    expect(page.get_by_role("tabpanel").locator("visible=true").locator(".pictures img")).to_have_count(3)


@pytest.mark.parametrize("mark", [{}, {"meta": {"_type": "gradio.FileData"}}])
def test_files_of_the_server_stay_there(url: str, tmp_path: Path, mark: dict[str, Any]) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(png(64, 64))
    for payload in ({"path": str(secret), **mark}, {"path": None, "url": str(secret), **mark}):
        call = f"{url}/gradio_api/call/photo_to_sketch"
        body = json.dumps({"data": [payload]}).encode()
        request = urllib.request.Request(call, body, {"Content-Type": "application/json"})
        event = json.load(urllib.request.urlopen(request))["event_id"]
        answer = urllib.request.urlopen(f"{call}/{event}").read().decode()
        assert "did not arrive" in answer or answer.startswith("event: error")
        assert ".png" not in answer


# --- the page as a whole --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow_and_dark(browser: Browser, url: str, scheme: Any) -> None:
    page, faults = open_page(browser, url, color_scheme=scheme, viewport={"width": 390, "height": 844})
    draw(page, ZIGZAG)
    picture(page, PHOTO)
    for tab in ("Draw", *TABS):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(200)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("tab", name="Draw").click()
    assert canvas(page)[0, 0].tolist() == [255, 255, 255]  # paper stays white in the dark
    page.context.close()
    assert faults == []


def test_every_control_has_a_name_and_a_place_in_the_tab_order(page: Page) -> None:
    unnamed = page.evaluate(
        "[...document.querySelectorAll('.draw button, .draw input')]"
        ".filter(e => !(e.getAttribute('aria-label') || e.textContent.trim()) || e.tabIndex < 0).length"
    )
    assert unnamed == 0
    page.get_by_role("button", name="Example: cup").focus()
    page.keyboard.press("Enter")
    assert ink(page) > 500


def test_page_without_weights_says_what_to_do(browser: Browser) -> None:
    demo = build_demo(None, problem="There are no weights here; train some.")
    page, faults = open_page(browser, serve(demo))
    expect(page.locator("#problem")).to_contain_text("There are no weights here")
    expect(page.locator(".foot")).to_contain_text("No weights are loaded")
    draw(page, ZIGZAG)
    expect(page.locator(".draw .message")).to_contain_text("There are no weights here")
    assert page.locator("[data-colour]").count() == 0
    page.context.close()
    demo.close()
    assert faults == []


def test_palette_only_for_weights_that_know_colour(
    browser: Browser, tmp_path: Path, states: dict[str, StateDict]
) -> None:
    save_weights(tmp_path, states, TINY.model_copy(update={"colour_hints": False}))
    demo = build_demo(Translator.from_pretrained(tmp_path))
    page, faults = open_page(browser, serve(demo))
    assert page.locator("[data-colour]").count() == 0
    page.context.close()
    demo.close()
    assert faults == []


def test_server_asks_no_other_host(page: Page, hosts: set[str]) -> None:
    draw(page, ZIGZAG)
    picture(page, PHOTO)
    assert hosts <= {"127.0.0.1", "localhost", "None"}


def test_command_serves_the_page(weights_folder: Path) -> None:
    with running_app(str(weights_folder)) as (url, _):
        assert "Sketch ↔ Photo" in urllib.request.urlopen(url).read().decode()


def test_a_private_demo_runs_without_its_share_link(weights_folder: Path) -> None:
    """No network (a proxy that is not there): the page is served all the same, and only to who knows the password."""
    offline = {"HTTP_PROXY": NOBODY, "HTTPS_PROXY": NOBODY, "NO_PROXY": "127.0.0.1,localhost"}
    with running_app(str(weights_folder), "--share", "--auth", "me:secret", **offline) as (url, _):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{url}/config")
        visitor = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        visitor.open(f"{url}/login", urllib.parse.urlencode({"username": "me", "password": "secret"}).encode())
        assert "Sketch" in visitor.open(f"{url}/config").read().decode()


def test_taken_port_gives_the_next() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert app.free_port("127.0.0.1", port) > port


@pytest.mark.parametrize("port", ["abc", "0", "65536", "-1", "５０００", ""])
def test_what_is_no_port_is_said_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], port: str
) -> None:
    monkeypatch.setenv("GRADIO_SERVER_PORT", port)
    with pytest.raises(SystemExit):
        app.main([])
    said = capsys.readouterr().err
    assert f"“{port}” is not a port; give --port or GRADIO_SERVER_PORT a number from 1 to 65535." in said


def test_the_port_of_the_command_line_wins_over_nonsense_around_it(weights_folder: Path) -> None:
    with running_app(str(weights_folder), GRADIO_SERVER_PORT="abc") as (url, _):
        assert "Sketch ↔ Photo" in urllib.request.urlopen(url).read().decode()


def test_auth_needs_user_and_password(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        app.main(["--auth", "nobody"])
    assert "USER:PASSWORD" in capsys.readouterr().err
