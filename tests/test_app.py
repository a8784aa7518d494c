"""The demo's page, tabs for uploads and command line; the Draw tab has test_canvas.py."""

from __future__ import annotations

import ast
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from cyclegan.demo import app
from cyclegan.demo.menu import Menu
from cyclegan.demo.page import build_demo
from cyclegan.inference import Translator
from cyclegan.weights import StateDict, save_weights
from tests.browser import (
    CHROMIUM_FLAGS,
    PHOTO,
    ROOT,
    ZIGZAG,
    canvas,
    chromium_path,
    draw,
    ink,
    open_page,
    picture,
    serve,
)
from tests.browser_fixtures import LOCAL
from tests.conftest import TINY
from tests.proxy import proxied
from tests.server import running_server

pytest_plugins = ["tests.browser_fixtures"]

NOBODY = "http://127.0.0.1:9"  # nothing listens on the discard port

# --- the page as a whole --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow_and_dark(browser: Browser, url: str, scheme: Any) -> None:
    page, faults = open_page(browser, url, color_scheme=scheme, viewport={"width": 390, "height": 844})
    draw(page, ZIGZAG)
    picture(page, PHOTO)
    for tab in ("Draw", "Sketch → Photo", "Photo → Sketch", "Model"):
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
        ".filter(e => !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length) ||"
        " (e.tabIndex < 0 && !e.closest('[role=toolbar]')))"  # a toolbar is one place
        ".length"
    )
    assert unnamed == 0
    page.get_by_role("button", name="Example: cup").focus()
    page.keyboard.press("Enter")
    assert ink(page) > 500


def test_page_without_weights_says_what_to_do(browser: Browser, tmp_path: Path) -> None:
    demo = build_demo(Menu.named([str(tmp_path)]))
    page, faults = open_page(browser, serve(demo))
    expect(page.locator("#problem")).to_contain_text("There are no weights in")
    expect(page.locator(".foot")).to_contain_text("No weights are loaded")
    draw(page, ZIGZAG)
    expect(page.locator(".draw .message")).to_contain_text("There are no weights in")
    assert page.locator("[data-colour]").count() == 0
    page.context.close()
    demo.close()
    assert faults == []


def test_palette_only_for_weights_that_know_colour(
    browser: Browser, tmp_path: Path, states: dict[str, StateDict]
) -> None:
    save_weights(tmp_path, states, TINY.model_copy(update={"colour_hints": False}))
    demo = build_demo(Menu.of(Translator.from_pretrained(tmp_path)))
    page, faults = open_page(browser, serve(demo))
    assert page.locator("[data-colour]").count() == 0
    page.context.close()
    demo.close()
    assert faults == []


def test_server_asks_no_other_host(page: Page, hosts: set[str]) -> None:
    hosts.clear()
    draw(page, ZIGZAG)
    picture(page, PHOTO)
    assert hosts <= LOCAL


def test_gradio_reads_no_source_of_its_own_for_editors() -> None:
    code = (
        "import ast, inspect\n"
        "from cyclegan.demo.stubs import no_stubs\n"
        "parsed, parse = [], ast.parse\n"
        "ast.parse = lambda source, *more, **options: parsed.append(source) or parse(source, *more, **options)\n"
        "with no_stubs():\n"
        "    import gradio\n"
        "assert inspect.getfile(gradio.Textbox) == gradio.components.textbox.__file__\n"
        "print(sum('class Textbox(' in str(source) for source in parsed))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "0\n", done.stderr


def test_command_serves_the_page(weights_folder: Path) -> None:
    with running_server(str(weights_folder)) as server:
        assert "Sketch ↔ Photo" in urllib.request.urlopen(server.url).read().decode()


def test_a_private_demo_runs_without_its_share_link(weights_folder: Path) -> None:
    """No network (a proxy that is not there): the page is served all the same, and only to who knows the password."""
    offline = {"HTTP_PROXY": NOBODY, "HTTPS_PROXY": NOBODY, "NO_PROXY": "127.0.0.1,localhost"}
    with running_server(str(weights_folder), "--share", "--auth", "me:secret", environment=offline) as server:
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{server.url}/config")
        visitor = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        visitor.open(f"{server.url}/login", urllib.parse.urlencode({"username": "me", "password": "secret"}).encode())
        assert "Sketch" in visitor.open(f"{server.url}/config").read().decode()


def test_the_password_may_come_by_the_environment(weights_folder: Path) -> None:
    with running_server(str(weights_folder), environment={"CYCLEGAN_AUTH": "me:sec:ret"}) as server:
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{server.url}/config")
        visitor = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        visitor.open(f"{server.url}/login", urllib.parse.urlencode({"username": "me", "password": "sec:ret"}).encode())
        assert "Sketch" in visitor.open(f"{server.url}/config").read().decode()


@pytest.mark.parametrize("auth", ["", "nobody", ":", "me:", ":secret"])
def test_half_a_password_opens_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], auth: str
) -> None:
    for arguments in (["--auth", auth], []):
        monkeypatch.setenv("CYCLEGAN_AUTH", auth)
        with pytest.raises(SystemExit):
            app.main(arguments)
        assert "USER:PASSWORD" in capsys.readouterr().err


def test_help_names_the_environment_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        app.main(["--help"])
    assert "CYCLEGAN_AUTH=USER:PASSWORD" in capsys.readouterr().out


@pytest.mark.parametrize("path", sorted((ROOT / "cyclegan" / "demo").rglob("*.py")), ids=lambda path: path.name)
def test_text_is_read_as_utf_8_wherever_the_page_runs(path: Path) -> None:
    """Windows has another encoding where none is given."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        name = node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
        if isinstance(node, ast.Call) and name in ("read_text", "write_text"):
            assert "encoding" in {keyword.arg for keyword in node.keywords}, f"line {node.lineno}"


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
    with running_server(str(weights_folder), environment={"GRADIO_SERVER_PORT": "abc"}) as server:
        assert "Sketch ↔ Photo" in urllib.request.urlopen(server.url).read().decode()


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [([], "", None), (["--root-path", "/sketch"], "", "/sketch"), ([], "/other", "/other")],
)
def test_the_root_path_reaches_gradio(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], environment: str, expected: str | None
) -> None:
    launched: dict[str, Any] = {}
    monkeypatch.setenv("GRADIO_ROOT_PATH", environment)
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    monkeypatch.setattr("cyclegan.demo.page.build_demo", lambda *_, **__: None)
    monkeypatch.setattr("cyclegan.demo.page.launch", lambda *_, **options: launched.update(options))
    app.main(["--weights", str(tmp_path), *arguments])
    assert launched["root_path"] == expected


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        (None, "opened under /sketch, but its server believes it to be under /, so"),
        ("/other", "opened under /sketch, but its server believes it to be under /other, so"),
        ("/sketch", ""),
    ],
)
def test_a_page_under_another_path_than_it_was_told(
    browser: Browser, translator: Translator, told: str | None, sentence: str
) -> None:
    demo = build_demo(Menu.of(translator))
    address = serve(demo, root_path=told)
    with proxied(address, "/sketch") as url:
        page, _ = open_page(browser, url)  # Gradio misses its own files
        if sentence:
            expect(page.locator("#head .message")).to_contain_text(sentence)
            expect(page.locator("#head .message")).to_contain_text("start it with --root-path /sketch.")
        else:
            draw(page, ZIGZAG)
            picture(page, PHOTO)
            expect(page.locator("#head .message")).to_be_empty()
        page.context.close()
    demo.close()


def test_a_page_at_the_top_needs_no_root_path(page: Page) -> None:
    page.wait_for_timeout(500)
    expect(page.locator("#head .message")).to_be_empty()


def test_without_https_the_lan_is_offered_no_camera_and_no_clipboard(browser: Browser, url: str) -> None:
    """Browsers give them to secure pages alone; localhost is one, another name is not."""
    flags = [*CHROMIUM_FLAGS, "--host-resolver-rules=MAP lan.test 127.0.0.1"]
    other = browser.browser_type.launch(executable_path=chromium_path(), args=flags)
    for where, address, seen in ((browser, url, True), (other, url.replace("127.0.0.1", "lan.test"), False)):
        page, _ = open_page(where, address)
        for tab in ("Sketch → Photo", "Photo → Sketch"):
            page.get_by_role("tab", name=tab).click()
            panel = page.get_by_role("tabpanel").locator("visible=true")
            expect(panel.locator(".upload-container, .image-container").first).to_be_visible()
            expect(panel.get_by_role("button", name="Paste from clipboard")).to_be_visible(visible=seen)
        expect(panel.get_by_role("button", name="Capture from camera")).to_be_visible(visible=seen)
        page.context.close()
    other.close()
