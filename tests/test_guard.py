"""The guard before Gradio (demo/guard.py): which requests pass, and how much stays of what is uploaded."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, wait
from pathlib import Path
from threading import Event
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio_client import Client, handle_file
from PIL import Image
from starlette.types import Receive, Scope, Send

from cyclegan.demo import guard
from cyclegan.demo.guard import MAX_BODY_BYTES, MAX_EVENTS_WAITING, RequestGuard, make_room
from cyclegan.demo.menu import Menu
from cyclegan.demo.page import build_demo
from cyclegan.inference import Translator
from tests.browser import serve
from tests.server import Server
from tests.visitor import run

pytest_plugins = ["tests.browser_fixtures", "tests.server_fixtures"]

CANVAS, UPLOAD = "/gradio_api/component_server/", "/gradio_api/upload"
Headers = list[tuple[bytes, bytes]]


async def inner(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that answers everything and fails where the path says so."""
    if "boom" in scope["path"]:
        raise ValueError("lists have no keys")
    while (message := await receive())["type"] == "http.request" and message.get("more_body"):
        pass
    await send(
        {"type": "http.response.start", "status": 200 if message["type"] == "http.request" else 499, "headers": []}
    )
    await send({"type": "http.response.body"})


def status(
    method: str, path: str, headers: Headers | None = None, root: str = "", body: list[bytes] | None = None
) -> int:
    """The status of the answer to a request whose body comes in the chunks of `body`."""
    chunks = [*(body or []), b""]
    answers: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}

    async def send(message: Any) -> None:
        answers.append(message)

    scope = {"type": "http", "method": method, "path": path, "root_path": root, "headers": headers or []}
    run(RequestGuard(inner)(scope, receive, send))
    return int(answers[0]["status"])


def test_the_progress_of_an_upload_that_has_not_begun_is_no_error(url: str) -> None:
    """Gradio's own answer is 404 after three seconds, which the page throws as an error."""
    answer = httpx.get(f"{url}/gradio_api/upload_progress", params={"upload_id": "late"}, timeout=30)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text == 'data: {"msg": "done"}\n\n'


@pytest.mark.parametrize(
    "value",
    [b"multipart/form-data", b"Multipart/form-data; boundary=x", b" \tMULTIPART/FORM-DATA", b"mUltipart/mixed"],
)
@pytest.mark.parametrize("path", [CANVAS, "/gradio_api/queue/join", "/gradio_api/call/sketch_to_photo"])
def test_files_are_taken_in_one_place_only(value: bytes, path: str) -> None:
    assert status("POST", path, [(b"content-type", value)]) == 415
    assert status("POST", path, [(b"Content-Type", value)]) == 415
    assert status("POST", UPLOAD, [(b"content-type", value)]) == 200


@pytest.mark.parametrize("name", [b"content-type", b"content-length"])
def test_a_header_that_may_mean_two_things_is_refused(name: bytes) -> None:
    values = [b"application/json", b"multipart/form-data"] if name == b"content-type" else [b"1", b"2"]
    assert status("POST", CANVAS, [(name, value) for value in values]) == 400
    assert status("POST", CANVAS, [(name, value) for value in reversed(values)]) == 400


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (b"x", 400),
        (b"", 400),
        (b"-1", 400),
        (b"1e3", 400),
        (b"\xb2", 400),
        (b"9" * 5000, 413),
        (b"16000001", 413),
        (b"7", 200),
    ],
)
def test_content_lengths(length: bytes, expected: int) -> None:
    assert status("POST", CANVAS, [(b"content-length", length)]) == expected


def test_chunks_beyond_the_limit_end_the_request() -> None:
    assert status("POST", CANVAS, body=[b"a" * (MAX_BODY_BYTES // 2)] * 2) == 200
    assert status("POST", CANVAS, body=[b"a" * (MAX_BODY_BYTES // 2 + 1)] * 2) == 499


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/gradio_api/process_recording"),
        ("POST", "/gradio_api/process_recording/"),
        ("POST", "/gradio_api/vibe-edit"),
        ("POST", "/gradio_api/stream/a"),
        ("POST", "/gradio_api/upload/"),
        ("POST", "//gradio_api/upload"),
        ("GET", "/gradio_api/proxy=http://example.com/"),
        ("GET", "/gradio_api/deep_link"),
        ("GET", "/gradio_api/stream/a/b/1/playlist.m3u8"),
        ("GET", "/gradio_api/custom_component/a/client/component/index.js"),
        ("GET", "/gradio_api/run-history/records"),
        ("GET", "/gradio_api/mcp/sse"),
        ("PUT", "/gradio_api/mcp/"),
        ("GET", "/monitoring"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("GET", "/gradio_api/queue/join"),
        ("PUT", "/"),
        ("OPTIONS", "/gradio_api/upload"),
        ("POST", "/gradio_api/component_server/\n"),
    ],
)
def test_what_the_page_does_not_need_is_not_found(method: str, path: str) -> None:
    assert status(method, path) == 404
    assert status(method, f"/sub{path}", root="/sub") == 404


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("GET", "/config"), ("POST", CANVAS), ("POST", UPLOAD), ("GET", "/assets/a.js")]
)
def test_under_a_root_path_the_same_routes_are_served(method: str, path: str) -> None:
    assert status(method, path) == 200
    assert status(method, f"/sub{path}", root="/sub") == 200
    assert status(method, path, root="/sub") == 200  # a proxy may cut the root path off


def test_a_failure_is_one_sentence(caplog: pytest.LogCaptureFixture) -> None:
    assert status("POST", "/gradio_api/call/boom") == 400
    assert "Traceback" not in caplog.text
    assert "ValueError" in caplog.text


def test_gradios_own_client_gets_its_pictures(
    server: Server, make_drawing: Callable[..., Image.Image], tmp_path: Path
) -> None:
    """Every request that the client makes must be on the list of routes."""
    make_drawing().save(tmp_path / "a.png")
    client = Client(server.url, verbose=False, download_files=str(tmp_path / "results"))
    assert {"/sketch_to_photo", "/photo_to_sketch"} <= client.view_api(return_format="dict")["named_endpoints"].keys()
    for direction in ("/sketch_to_photo", "/photo_to_sketch"):
        path = client.predict(handle_file(str(tmp_path / "a.png")), api_name=direction)
        assert path.endswith(".png")
        assert Path(path).is_file()


def test_a_full_queue_says_so_and_empties_again() -> None:
    refused = Event()

    def picture() -> str:
        return "made" if refused.wait(60) else "late"

    with gr.Blocks() as demo:
        gr.api(picture)
    client = Client(serve(demo), verbose=False)
    jobs = [client.submit(api_name="/picture") for _ in range(MAX_EVENTS_WAITING + 4)]
    wait([job.future for job in jobs], timeout=60, return_when=FIRST_EXCEPTION)
    refused.set()
    refusals = [str(refusal) for job in jobs if (refusal := job.exception())]
    assert refusals
    assert all("Queue is full" in refusal for refusal in refusals)
    assert {job.result() for job in jobs if not job.exception()} == {"made"}
    assert client.predict(api_name="/picture") == "made"
    demo.close()


def test_files_of_the_page_are_kept(translator: Translator) -> None:
    """Examples lie in the folder of the uploads."""
    (middleware,) = guard.guard(build_demo(Menu.of(translator)))["middleware"]
    names = {Path(path).name for path in middleware.kwargs["keep"]}
    assert "cup.png" in names


# --- room for uploads -----------------------------------------------------------------------------------------------

NOW = 10_000.0


def stored(folder: Path, name: str, age: float, size: int = 100) -> Path:
    path = folder / name / "a.png"
    path.parent.mkdir()
    path.write_bytes(bytes(size))
    os.utime(path, (NOW - age, NOW - age))
    return path


def test_the_oldest_files_go_first_and_only_as_many_as_needed(tmp_path: Path) -> None:
    old, older, new = stored(tmp_path, "b", 200), stored(tmp_path, "a", 300), stored(tmp_path, "c", 10)
    make_room(tmp_path, 300, now=NOW)
    assert older.exists()
    make_room(tmp_path, 250, now=NOW)
    assert [path.exists() for path in (older, old, new)] == [False, True, True]
    assert not older.parent.exists()


def test_files_in_use_stay(tmp_path: Path) -> None:
    held, new, kept, old = (stored(tmp_path, name, age) for name, age in zip("abcd", (400, 10, 300, 200), strict=True))
    with held.open("rb"):
        make_room(tmp_path, 0, now=NOW, keep={str(kept)})
    assert [path.exists() for path in (held, new, kept, old)] == [True, True, True, False]


def test_uploads_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(guard, "make_room", lambda folder, *_, **__: asked.append(folder))
    scope = {"type": "http", "method": "POST", "path": UPLOAD, "headers": []}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_: Any) -> None: ...

    run(RequestGuard(inner, tmp_path)(scope, receive, send))
    assert asked == [tmp_path]
