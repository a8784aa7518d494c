"""Several models on one page: loaded when asked for, two in memory, chosen by visitors and by programs."""

from __future__ import annotations

import re
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from cyclegan.demo import menu as menus
from cyclegan.demo.menu import MAX_LOADED, Menu
from cyclegan.demo.page import build_demo
from cyclegan.inference import Translator
from cyclegan.weights import StateDict, WeightsError, save_weights
from tests.browser import PHOTO, ZIGZAG, draw, fresh_page, picture, serve
from tests.conftest import TINY, make_networks
from tests.test_accessibility import violations

pytest_plugins = ["tests.browser_fixtures"]


@pytest.fixture(autouse=True)
def no_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(menus, "STAY_SECONDS", 0)


class Shelf:
    """Loaders that count; those of `broken` fail."""

    def __init__(self, translator: Translator, broken: str = "") -> None:
        self.loads: list[str] = []
        self.menu = Menu({name: lambda name=name: self._load(name) for name in "abcd"})  # type: ignore[misc]
        self._translator, self.broken = translator, broken

    def _load(self, name: str) -> Translator:
        self.loads.append(name)
        if name in self.broken:
            raise WeightsError(f"{name} is damaged.")
        return self._translator


def test_the_least_recently_used_model_leaves(translator: Translator) -> None:
    shelf = Shelf(translator)
    for name in "abacab":
        shelf.menu.get(name)
    assert shelf.loads == list("abcb")  # c took the place of b, and b that of c: a was used in between
    assert len(shelf.menu._loaded) == MAX_LOADED
    assert shelf.menu.get() is shelf.menu.get("a")


@pytest.mark.parametrize("name", ["e", "", "../a", "/etc", 7, ["a"], {"a": 1}])
def test_only_names_of_the_menu_are_taken(translator: Translator, name: Any) -> None:
    shelf = Shelf(translator)
    with pytest.raises(WeightsError, match="no such model here; choose one of a, b, c, d"):
        shelf.menu.get(name)
    assert shelf.loads == []


def test_a_model_that_fails_is_not_tried_at_every_question(
    translator: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf(translator, broken="b")
    kept = [shelf.menu.get("a"), shelf.menu.get("c")]
    for _ in range(3):
        with pytest.raises(WeightsError, match=r"^b is damaged\.$"):
            shelf.menu.get("b")
    assert shelf.loads == list("acb")
    assert [shelf.menu.get("a"), shelf.menu.get("c")] == kept  # a failure costs no other its place
    monkeypatch.setattr(menus, "RETRY_SECONDS", 0)
    shelf.broken = ""
    shelf.menu.get("b")
    assert shelf.loads == list("acbb")


def test_who_waits_for_a_model_holds_nobody_up_and_loads_it_once(translator: Translator) -> None:
    begun, go_on, loads = threading.Event(), threading.Event(), []

    def slow() -> Translator:
        loads.append("slow")
        begun.set()
        assert go_on.wait(30)
        return translator

    menu = Menu({"fast": lambda: translator, "slow": slow})
    menu.get("fast")
    waiting = [threading.Thread(target=menu.get, args=["slow"]) for _ in range(3)]
    for one in waiting:
        one.start()
    assert begun.wait(30)
    assert menu.get("fast").translator is translator
    go_on.set()
    for one in waiting:
        one.join(30)
    assert loads == ["slow"]


def test_a_model_stays_for_a_while_before_it_makes_room(
    translator: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(menus, "STAY_SECONDS", 0.3)
    shelf = Shelf(translator)
    start = time.monotonic()
    for name in "abcb":
        shelf.menu.get(name)
    assert 0.3 <= time.monotonic() - start < 2
    assert shelf.loads == list("abc")
    shelf.menu.get("c")
    shelf.menu.get("a")  # b has been there for longer than c
    assert list(shelf.menu._loaded) == ["c", "a"]


def test_many_visitors_with_three_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_drawing: Any) -> None:
    """Each gets the pictures of the model that he asks for, nobody is passed over, and few are in memory."""
    monkeypatch.setattr(menus, "STAY_SECONDS", 0.2)
    for number, name in enumerate("abc"):
        networks = make_networks(TINY, seed=number)
        save_weights(tmp_path / name, {key: one.state_dict() for key, one in networks.items()}, TINY)
    drawing = make_drawing((128, 128))
    expected = {
        name: np.asarray(Translator.from_pretrained(tmp_path / name).sketch_to_photo(drawing, 1)) for name in "abc"
    }
    alive: weakref.WeakSet[Translator] = weakref.WeakSet()
    most, turns, wrong = [0], dict.fromkeys("abc", 0), list[str]()
    waits = list[int]()  # how many models were loaded while one waited for its turn

    class CountedTurns(menus.Turns):
        def __enter__(self) -> None:
            before = sum(turns.values())
            super().__enter__()
            waits.append(sum(turns.values()) - before)

    monkeypatch.setattr(menus, "Turns", CountedTurns)

    def load(name: str) -> Translator:
        made = Translator.from_pretrained(tmp_path / name)
        turns[name] += 1
        alive.add(made)
        most.append(len(alive))
        return made

    menu = Menu({name: partial(load, name) for name in "abc"})
    end = time.monotonic() + 60

    def visitor(name: str) -> None:
        while min(turns.values()) < 3 and time.monotonic() < end:
            photo = menu.get(name).translator.sketch_to_photo(drawing, 1)
            if not np.array_equal(np.asarray(photo), expected[name]):
                wrong.append(name)

    with ThreadPoolExecutor(12) as pool:
        for done in [pool.submit(visitor, name) for name in "abc" * 4]:
            done.result()
    assert wrong == []
    assert max(most) <= MAX_LOADED + 2  # the new one, and one that is on its way out
    assert min(turns.values()) == 3, turns
    assert max(waits) <= 2, (turns, waits)  # the one under way, and the third


def test_names_are_those_of_folders_and_the_default_is_the_first_that_loads(
    tmp_path: Path, weights_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = tmp_path / "other" / "weights"
    other.mkdir(parents=True)
    sources = [str(tmp_path / "gone"), str(weights_folder), str(other), "owner/name", str(weights_folder)]
    menu = Menu.named(sources)
    assert menu.names == ["gone", "weights", "weights (2)", "owner/name"]
    assert menu.default == "weights"
    assert list(menu._loaded) == ["weights"]
    assert "There are no weights in “gone”" in caplog.text
    with pytest.raises(WeightsError) as error:
        menu.get("gone")
    assert str(tmp_path) not in str(error.value)


# --- on the page ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, states: dict[str, StateDict]) -> dict[str, Path]:
    """first: as usual; plain: other networks, which take no colour strokes, without discriminators; broken: nothing."""
    found = {name: tmp_path_factory.mktemp("menu") / name for name in ("first", "plain", "broken")}
    save_weights(found["first"], states, TINY)
    generator = TINY.generator.model_copy(update={"detail": True})
    plain = TINY.model_copy(update={"colour_hints": False, "generator": generator})
    networks = make_networks(plain, seed=5)
    save_weights(found["plain"], {name: network.state_dict() for name, network in networks.items()}, plain)
    for path in found["plain"].glob("discriminator*"):
        path.unlink()
    (found["plain"] / "README.md").write_text("# A plain card\n\nPlain.\n", encoding="utf-8")
    Image.new("RGB", (60, 40), "red").save(found["plain"] / "samples.jpg")
    found["broken"].mkdir()
    return found


@pytest.fixture(scope="module")
def served(folders: dict[str, Path]) -> Iterator[str]:
    demo = build_demo(Menu.named(map(str, folders.values())))
    yield serve(demo)
    demo.close()


@pytest.fixture
def several(browser: Browser, served: str) -> Iterator[Page]:
    with fresh_page(browser, served) as page:
        yield page


def choose(page: Page, name: str) -> None:
    page.get_by_label("Model", exact=True).click()
    page.get_by_role("option", name=name).click()


def test_one_model_needs_no_menu(page: Page) -> None:
    expect(page.locator(".menu")).not_to_be_visible()


def test_the_drawing_follows_the_menu(several: Page) -> None:
    draw(several, ZIGZAG)
    expect(several.locator(".draw .returned img")).to_be_visible()
    before = picture(several, PHOTO)
    expect(several.locator("[data-colour]").first).to_be_visible()
    several.get_by_role("button", name="red", exact=True).click()
    choose(several, "plain")
    expect(several.locator(".foot")).to_contain_text("plain/")
    expect(several.locator("[data-colour]").first).not_to_be_visible()
    expect(several.locator(".judge")).not_to_be_visible()
    expect(several.locator('[data-tool="pen"]')).to_have_attribute("aria-pressed", "true")  # the red one is gone
    several.wait_for_timeout(1000)
    after = picture(several, PHOTO)
    assert np.abs(after.astype(int) - before).mean() > 5
    choose(several, "first")
    expect(several.locator("[data-colour]").first).to_be_visible()
    expect(several.locator(".foot")).to_contain_text("first/")
    several.wait_for_timeout(1000)
    assert np.array_equal(picture(several, PHOTO), before)


def test_a_model_that_cannot_be_loaded_is_said_and_the_former_stays(several: Page) -> None:
    choose(several, "broken")
    expect(several.locator(".menu .message")).to_contain_text("There are no weights in")
    expect(several.get_by_label("Model", exact=True)).to_have_value("first")
    draw(several, ZIGZAG)
    picture(several, PHOTO)
    choose(several, "plain")
    expect(several.locator(".menu .message")).to_have_count(0)


def test_uploads_and_the_model_tab_follow_the_menu(several: Page, tmp_path: Path, make_photo: Any) -> None:
    make_photo((90, 60)).save(tmp_path / "thing.png")
    several.get_by_role("tab", name="Photo → Sketch").click()
    panel = several.get_by_role("tabpanel").locator("visible=true")
    panel.locator(".pictures input[type=file]").set_input_files(tmp_path / "thing.png")
    made = panel.locator(".pictures img").nth(1)
    expect(made).to_have_attribute("src", re.compile("thing-sketch"))
    before = made.get_attribute("src") or ""
    expect(panel.get_by_label("Detail").first).not_to_be_visible()
    choose(several, "plain")
    expect(made).not_to_have_attribute("src", before)
    expect(panel.get_by_label("Detail").first).to_be_visible()
    several.get_by_role("tab", name="Model").click()
    expect(several.get_by_role("heading", name="A plain card").first).to_be_visible()
    expect(several.locator(".model img[src*='samples.jpg']").first).to_be_visible()


def test_the_menu_by_keyboard_and_by_axe(several: Page) -> None:
    several.get_by_label("Model", exact=True).focus()
    for key in ("ArrowDown", "Enter"):
        several.keyboard.press(key)
    expect(several.locator(".foot")).to_contain_text("plain/")
    assert violations(several) == []


def test_programs_choose_by_name(served: str, folders: dict[str, Path], make_drawing: Any, tmp_path: Path) -> None:

    make_drawing((90, 60)).save(tmp_path / "drawing.png")
    client = Client(served, verbose=False, download_files=str(tmp_path))
    file = handle_file(str(tmp_path / "drawing.png"))

    def ask(**options: Any) -> np.ndarray:
        return np.asarray(Image.open(client.predict(file, api_name="/sketch_to_photo", **options)), int)

    usual, first, plain = ask(), ask(model="first"), ask(model="plain")
    assert np.array_equal(usual, first)
    expected = Translator.from_pretrained(folders["plain"], device="cpu").sketch_to_photo(make_drawing((90, 60)))
    assert np.abs(plain - np.asarray(expected, int)).mean() < 1
    assert np.abs(plain - first).mean() > 5
    for name, sentence in (("broken", "There are no weights in"), (str(folders["plain"]), "no such model here")):
        with pytest.raises(AppError, match=sentence):
            ask(model=name)
