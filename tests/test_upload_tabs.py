"""The tabs for uploads, driven in a real Chromium against a real server with tiny random weights."""

from __future__ import annotations

import json
import os
import struct
import tempfile
import threading
import time
import urllib.request
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageDraw, ImageOps
from playwright.sync_api import Browser, FilePayload, Locator, Page, expect

from cyclegan.demo.pictures import Translated, redrawn, translate
from cyclegan.generators import Direction
from cyclegan.images import open_image, to_rgb
from cyclegan.inference import Translator
from tests.browser import PHOTO, ZIGZAG, canvas, draw, open_page, picture

pytest_plugins = ["tests.browser_fixtures"]

TABS = ["Sketch → Photo", "Photo → Sketch"]
PICTURES = ".pictures img"


def open_tab(page: Page, tab: str) -> Locator:
    page.get_by_role("tab", name=tab).click()
    return page.get_by_role("tabpanel").locator("visible=true")


def upload(panel: Locator, name: str, content: bytes, mime: str = "image/png") -> None:
    file_input = panel.locator(".pictures input[type=file]")
    file_input.set_input_files({"name": name, "mimeType": mime, "buffer": content})


def drop(panel: Locator, name: str, content: str, mime: str) -> None:
    panel.locator(".pictures button").first.evaluate(
        """(target, [name, content, type]) => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([content], name, { type }));
          target.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
        }""",
        [name, content, mime],
    )


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
    ("notes.txt", b"hello", "not an image"),
    ("film.mp4", b"\0\0\0\x18ftypmp42" + bytes(99), "not an image"),
    ("empty.png", b"", "empty"),
    ("cut.png", png(300, 200)[:5000], "damaged"),
    ("drawing.svg", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
    ("huge.png", png_header(20000, 20000), "megapixels"),
    ("large.png", png_header(13000, 13000), "megapixels"),
    ("dot.png", png(1, 1), "at least"),
    ("line.png", png(5000, 2), "at least"),
]


MIMES = {"svg": "image/svg+xml", "txt": "text/plain", "mp4": "video/mp4"}


@pytest.mark.parametrize("tab", TABS)
def test_upload_and_bad_files(page: Page, tab: str) -> None:
    panel = open_tab(page, tab)
    message = panel.locator(".alert .message")
    for name, content, words in BAD_FILES:
        upload(panel, name, content, MIMES.get(name[-3:], "image/png"))
        expect(message).to_contain_text(words)
        expect(message).to_contain_text(name)
        assert "/" not in message.inner_text().replace("data/", "")
        assert message.inner_text().count(". ") == 0
    drop(panel, "dropped.txt", "hello", "text/plain")
    expect(message).to_contain_text("“dropped.txt” is not an image")
    expect(page.locator(".toast-body")).to_have_count(0)  # Gradio says nothing beside our sentence
    upload(panel, "good.png", encoded(lines(300, 200), "PNG") if tab == TABS[0] else png(300, 200))
    pictures = panel.locator(PICTURES)
    expect(pictures).to_have_count(3)
    expect(message).to_have_count(0)
    given, made, back = (np.asarray(_fetch(page, pictures.nth(i).get_attribute("src") or "")) for i in range(3))
    assert given.shape == made.shape == back.shape == (200, 300, 3)
    assert np.abs(made.astype(int) - given).mean() > 10
    expect(page.locator("#took")).to_contain_text("ms")


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def lines(width: int, height: int) -> Image.Image:
    drawing = Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(drawing).ellipse(
        (width // 5, height // 5, width * 4 // 5, height * 4 // 5), outline="black", width=3
    )
    return drawing


def odd_files(photo: Image.Image) -> dict[str, bytes]:
    """The same picture in the forms that pictures come in."""
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    clear = photo.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(photo.size))
    deep = Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 257)
    return {
        "turned.jpg": encoded(photo, "JPEG", exif=turned),
        "cmyk.jpg": encoded(photo.convert("CMYK"), "JPEG"),
        "deep.png": encoded(deep, "PNG"),
        "palette.png": encoded(photo.quantize(16), "PNG"),
        "moving.gif": encoded(photo, "GIF", save_all=True, append_images=[Image.new("RGB", photo.size)]),
        "clear.png": encoded(clear, "PNG"),
        "camera.tiff": encoded(photo, "TIFF"),
    }


@pytest.mark.parametrize("tab", TABS)
def test_every_form_of_picture(page: Page, tab: str, translator: Translator, make_photo: Any) -> None:
    direction: Direction = "sketch_to_photo" if tab == TABS[0] else "photo_to_sketch"
    panel = open_tab(page, tab)
    for name, content in odd_files(make_photo((90, 60))).items():
        stem = name.partition(".")[0]
        upload(panel, name, content, "image/tiff" if name.endswith("tiff") else "image/png")
        made = panel.locator(f"{PICTURES}[src*='/{stem}-{'photo' if tab == TABS[0] else 'sketch'}.png']")
        expect(made).to_be_visible()
        picture = to_rgb(open_image(BytesIO(content)))
        expected = translate(translator, picture, direction, tidy=True).result
        assert expected.size == ((60, 90) if name == "turned.jpg" else (90, 60))
        assert _fetch(page, made.get_attribute("src") or "").tobytes() == expected.tobytes(), name
        page.wait_for_function(  # what was given is shown too, whatever browsers make of its form
            "name => [...document.querySelectorAll('.pictures img')].some(e => e.src.includes(name) && e.naturalWidth)",
            arg=f"/{stem}.",
        )


def _fetch(page: Page, address: str) -> Image.Image:
    return Image.open(BytesIO(page.request.get(address).body())).convert("RGB")


@pytest.mark.parametrize("tab", TABS)
def test_example_compare_and_save(page: Page, tab: str) -> None:
    panel = open_tab(page, tab)
    made, kind = ("photo", "photo") if tab == TABS[0] else ("sketch", "sketch")
    save, both = (panel.get_by_role("button", name=f"Save {word}") for word in (made, "both"))
    expect(both).to_be_disabled()
    page.locator(".gallery-item").locator("visible=true").nth(1).click()
    expect(panel.locator(PICTURES)).to_have_count(3)
    size = _fetch(page, panel.locator(PICTURES).nth(1).get_attribute("src") or "").size
    panel.get_by_label("Slide to compare").check()
    expect(panel.locator(".pictures .slider-wrap img, .pictures [data-testid=imageslider] img")).to_have_count(2)
    panel.get_by_label("Slide to compare").uncheck()
    expect(panel.locator(PICTURES)).to_have_count(3)
    for button, name, width in ((save, f"-{kind}.png", size[0]), (both, f"-{kind}-both.png", 2 * size[0])):
        with page.expect_download() as saved:
            button.click()
        assert saved.value.suggested_filename.endswith(name)
        assert Image.open(saved.value.path()).size == (width, size[1])


def test_tidying_can_be_switched_off(page: Page, translator: Translator, make_drawing: Any) -> None:
    panel = open_tab(page, TABS[0])
    drawing = ImageOps.invert(make_drawing((90, 60)))
    upload(panel, "night.png", encoded(drawing, "PNG"))
    tidied = translate(translator, drawing, "sketch_to_photo", tidy=True)
    raw = translate(translator, drawing, "sketch_to_photo", tidy=False)
    expect(panel.locator(".said .remark")).to_have_text(tidied.remark)
    made = panel.locator(PICTURES).nth(1)
    before = made.get_attribute("src") or ""
    assert _fetch(page, before).tobytes() == tidied.result.tobytes()
    panel.get_by_label("Tidy my drawing").uncheck()
    expect(made).not_to_have_attribute("src", before)
    assert _fetch(page, made.get_attribute("src") or "").tobytes() == raw.result.tobytes()
    expect(panel.locator(".said .remark")).to_have_count(0)


def test_edit_these_lines(page: Page, make_photo: Any) -> None:
    panel = open_tab(page, TABS[1])
    edit = panel.get_by_role("button", name="Edit these lines")
    expect(edit).to_be_disabled()
    upload(panel, "object.png", encoded(make_photo((120, 80)), "PNG"))
    expect(edit).to_be_enabled()
    sketch = _fetch(page, panel.locator(PICTURES).nth(1).get_attribute("src") or "")
    edit.click()
    expect(page.locator("canvas.ink")).to_be_visible()
    expect(page.locator(PHOTO)).to_be_visible()
    shown = canvas(page)[86:426].astype(int)  # 120 × 80 on a square sheet of 512
    expected = np.asarray(sketch.resize((512, 341)))[:340].astype(int)
    assert np.abs(shown - expected).mean() < 25 < np.abs(255 - expected).mean()
    before = page.locator(PHOTO).get_attribute("src") or ""
    draw(page, ZIGZAG)
    expect(page.locator(PHOTO)).not_to_have_attribute("src", before)


def test_high_pictures_stay_in_their_squares(page: Page) -> None:
    panel = open_tab(page, TABS[1])
    upload(panel, "high.png", encoded(Image.new("RGB", (400, 900), "navy"), "PNG"))
    expect(panel.locator(PICTURES)).to_have_count(3)
    square = panel.locator(".pictures > .block").first.bounding_box()
    assert square is not None
    for shown in panel.locator(PICTURES).all():
        box = shown.bounding_box()
        assert box is not None
        assert box["height"] <= square["width"]


def test_the_pen_inks_anew_and_asks_no_network(
    page: Page, translator: Translator, make_photo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = make_photo((90, 60))
    expected = translate(translator, photo, "photo_to_sketch").result
    panel = open_tab(page, TABS[1])
    upload(panel, "object.png", encoded(photo, "PNG"))
    expect(panel.locator(PICTURES)).to_have_count(3)
    made = panel.locator(PICTURES).nth(1)
    asked: list[Any] = []
    monkeypatch.setattr(translator.generators, "translate", lambda *arguments: asked.append(arguments))
    for width in (3, 1):  # from the drawing itself, not from what the pen before made of it
        before = made.get_attribute("src") or ""
        panel.get_by_label("range slider for Pen width").fill(str(width))
        panel.get_by_label("range slider for Pen width").dispatch_event("pointerup")
        expect(made).not_to_have_attribute("src", before)
        assert _fetch(page, made.get_attribute("src") or "").tobytes() == redrawn(expected, width).tobytes()
    assert asked == []
    panel.get_by_label("Slide to compare").check()
    expect(panel.locator("[data-testid=imageslider] img, .slider-wrap img")).to_have_count(2)


def clean_up(name: str) -> int:
    """Deletes what Gradio would delete in time: the files whose name holds `name`."""
    folder = Path(os.environ.get("GRADIO_TEMP_DIR") or Path(tempfile.gettempdir(), "gradio"))
    gone = [path for path in folder.rglob(f"*{name}*") if path.is_file()]
    for path in gone:
        path.unlink()
    return len(gone)


def test_after_the_clean_up_the_page_says_so_and_keeps_its_pictures(
    browser: Browser, url: str, make_photo: Any
) -> None:
    page, _ = open_page(browser, url)  # the browser notes each file that is not there
    panel = open_tab(page, TABS[1])
    upload(panel, "bygone.png", encoded(make_photo((90, 60)), "PNG"))
    expect(panel.locator(PICTURES)).to_have_count(3)
    expect(panel.get_by_role("button", name="Save as SVG")).to_be_enabled()
    with page.expect_download() as saved:
        panel.get_by_role("button", name="Save as SVG").click()
    assert saved.value.suggested_filename == "bygone-sketch.svg"
    assert b"<path" in Path(saved.value.path()).read_bytes()
    shown = [image.get_attribute("src") for image in panel.locator(PICTURES).all()]
    assert clean_up("bygone") >= 3
    message = panel.locator(".alert .message")
    for button in ("Save sketch", "Save as SVG", "Save both"):
        panel.get_by_role("button", name=button).click()
        expect(message).to_contain_text("keeps pictures for an hour")
    assert [image.get_attribute("src") for image in panel.locator(PICTURES).all()] == shown
    panel.get_by_label("range slider for Pen width").fill("2")
    panel.get_by_label("range slider for Pen width").dispatch_event("pointerup")
    page.wait_for_timeout(1000)
    expect(message).to_contain_text("keeps pictures for an hour")
    assert [image.get_attribute("src") for image in panel.locator(PICTURES).all()] == shown
    sizes = panel.locator(PICTURES).evaluate_all("images => images.map(image => image.naturalWidth)")
    assert sizes == [90, 90, 90]
    page.context.close()


# --- many at once ---------------------------------------------------------------------------------------------------


def start_batch(panel: Locator, files: dict[str, bytes]) -> None:
    panel.get_by_role("button", name="Many at once").click()
    panel.locator(".batch input[type=file]").set_input_files(
        [FilePayload(name=name, mimeType="image/png", buffer=content) for name, content in files.items()]
    )
    expect(panel.locator(".batch .file-preview tr, .batch .file")).to_have_count(len(files))
    panel.get_by_role("button", name="Translate all").click()


def test_many_at_once(page: Page) -> None:
    panel = open_tab(page, TABS[1])
    start_batch(panel, {"one.png": png(60, 40), "notes.txt": b"hello", "two.png": png(40, 60)})
    expect(panel.locator(".status .remark")).to_have_text("2 of 3 pictures are done.")
    expect(panel.locator(".status .message")).to_have_count(1)
    expect(panel.locator(".status .message")).to_contain_text("“notes.txt” is not an image")
    expect(panel.locator(".batch .grid-container img, .batch .gallery-item img")).to_have_count(2)
    with page.expect_download() as saved:
        panel.get_by_role("button", name="Save all").click()
    assert saved.value.suggested_filename == "sketches.zip"
    with ZipFile(saved.value.path()) as archive:
        pictures = [name for name in archive.namelist() if name.endswith(".png")]
        sizes = {name: Image.open(archive.open(name)).size for name in pictures}
        assert sizes == {"one.png": (64, 43), "two.png": (43, 64)}  # as large as the sheet
        assert set(archive.namelist()) - set(pictures) == {"one.svg", "two.svg"}


def test_a_batch_shows_how_far_it_is_and_can_be_stopped(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    made, folders, new_folder = threading.Semaphore(2), list[Path](), tempfile.mkdtemp

    def slow(*arguments: Any) -> Translated:
        made.acquire(timeout=20)
        return translate(*arguments)

    def noted(**options: Any) -> str:
        folders.append(Path(new_folder(**options)))
        return str(folders[-1])

    monkeypatch.setattr("cyclegan.demo.batch.translate", slow)
    monkeypatch.setattr("cyclegan.demo.batch.tempfile.mkdtemp", noted)
    panel = open_tab(page, TABS[0])
    start_batch(panel, {f"{number}.png": png(40, 40) for number in range(5)})
    expect(panel.locator(".bar")).to_contain_text("2 of 5: 1.png")
    assert panel.locator("progress").evaluate("bar => bar.value / bar.max") == 0.4
    draw_tab = open_tab(page, "Draw")  # the batch waits, and drawing does not
    draw(page, ZIGZAG)
    picture(page, PHOTO)
    expect(draw_tab).to_be_visible()
    panel = open_tab(page, TABS[0])
    panel.get_by_role("button", name="Stop").click()
    expect(panel.locator(".status .remark")).to_have_text("Stopped; nothing was kept.")
    expect(panel.get_by_role("button", name="Translate all")).to_be_visible()
    made.release(99)
    folder = folders[0]
    deadline = time.monotonic() + 20
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not folder.exists()


# --- files that are nobody's ----------------------------------------------------------------------------------------


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


def test_the_focus_stays_where_a_button_gives_way_to_another(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """Translate all becomes Stop, and Stop becomes Translate all."""
    go_on = threading.Event()

    def slow(*arguments: Any, **options: Any) -> Translated:
        assert go_on.wait(30)
        return translate(*arguments, **options)

    monkeypatch.setattr("cyclegan.demo.batch.translate", slow)
    panel = open_tab(page, TABS[1])
    start_batch(panel, {"one.png": png(60, 40), "two.png": png(40, 60)})
    expect(panel.get_by_role("button", name="Stop")).to_be_focused()
    go_on.set()
    expect(panel.get_by_role("button", name="Translate all")).to_be_focused()
    page.get_by_role("tab", name=TABS[1]).focus()  # who went elsewhere is left there
    panel.get_by_role("button", name="Translate all").evaluate("button => button.click()")
    expect(panel.locator(".status .remark")).to_have_text("2 of 2 pictures are done.")
    expect(page.get_by_role("tab", name=TABS[1])).to_be_focused()
