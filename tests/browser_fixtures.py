"""The served page in a browser, as fixtures: a plugin for the modules that ask for it; the others need no Gradio."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from cyclegan.demo.menu import Menu
from cyclegan.demo.page import build_demo
from cyclegan.inference import Translator
from cyclegan.weights import StateDict, save_weights
from tests.browser import CHROMIUM_FLAGS, chromium_path, fresh_page, serve
from tests.conftest import TINY


@pytest.fixture(scope="session")
def translator(tmp_path_factory: pytest.TempPathFactory, states: dict[str, StateDict]) -> Translator:
    folder = tmp_path_factory.mktemp("served")
    save_weights(folder, states, TINY)
    return Translator.from_pretrained(folder, device="cpu")


LOCAL = {"127.0.0.1", "localhost", "None"}


@pytest.fixture(scope="session")
def hosts() -> Iterator[set[str]]:
    """Every host that this process, the server's, looks up."""
    look_up, asked = socket.getaddrinfo, set[str]()

    def spy(host: Any, *arguments: Any, **options: Any) -> Any:
        asked.add(str(host))
        return look_up(host, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", spy)
        yield asked


@pytest.fixture(scope="session")
def url(translator: Translator, hosts: set[str]) -> Iterator[str]:
    hosts.clear()  # Gradio's client, which other tests use, asks for the Hub
    demo = build_demo(Menu.of(translator))
    address = serve(demo)
    assert hosts <= LOCAL
    yield address
    demo.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = chromium_path()
    if path is None:
        missing = "Chromium is not installed (apt install chromium), so the page itself cannot be tested"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    with fresh_page(browser, url) as page:
        yield page
