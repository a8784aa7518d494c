"""The endpoints for programs, on a real server: Gradio's client, curl as the README has it, MCP."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image, ImageOps

from cyclegan.demo.api import direction_of, flag_of
from cyclegan.demo.pictures import redrawn, seed_of, translate
from cyclegan.images import ImageError
from cyclegan.inference import Translator
from tests.server import ROOT, Server, running_server

pytest_plugins = ["tests.browser_fixtures", "tests.server_fixtures"]

Make = Callable[..., Image.Image]
ENDPOINTS = ["/sketch_to_photo", "/photo_to_sketch", "/round_trip"]


@pytest.fixture(scope="module")
def client(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Client:
    return Client(server.url, verbose=False, download_files=str(tmp_path_factory.mktemp("results")))


@pytest.fixture
def drawing(make_drawing: Make, tmp_path: Path) -> Path:
    ImageOps.invert(make_drawing((90, 60))).save(tmp_path / "night.png")
    return tmp_path / "night.png"


def near(path: str, expected: Image.Image) -> bool:
    """Whether the file is the picture; another process may round another way."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        return image.size == expected.size and np.abs(np.asarray(image, int) - np.asarray(expected, int)).mean() < 1


def test_only_these_are_public_and_all_is_described(client: Client) -> None:
    endpoints: Any = client.view_api(return_format="dict")
    assert list(endpoints["named_endpoints"]) == ENDPOINTS
    assert endpoints["unnamed_endpoints"] == {}
    for endpoint in endpoints["named_endpoints"].values():
        assert endpoint["description"]
        first, *others = endpoint["parameters"]
        assert first["parameter_name"] == "picture"
        assert all(parameter["parameter_has_default"] for parameter in others)
        assert all(len(parameter["label"]) > 10 for parameter in endpoint["parameters"])


def test_a_picture_in_a_picture_out(client: Client, drawing: Path, translator: Translator) -> None:
    night = Image.open(drawing)
    file = handle_file(str(drawing))
    tidied, raw = (translate(translator, night, "sketch_to_photo", tidy) for tidy in (True, False))
    assert near(client.predict(file, api_name="/sketch_to_photo"), tidied.result)
    assert near(client.predict(file, tidy=False, api_name="/sketch_to_photo"), raw.result)
    seeded = translate(translator, night, "sketch_to_photo", seed=7).result
    assert near(client.predict(file, seed=7, api_name="/sketch_to_photo"), seeded)
    coloured = translate(translator, night, "sketch_to_photo", colours=night).result
    assert near(client.predict(file, colours=file, api_name="/sketch_to_photo"), coloured)
    there, back = client.predict(file, api_name="/round_trip")
    assert near(there, tidied.result)
    assert near(back, tidied.returned)
    sketch = translate(translator, night, "photo_to_sketch").result
    assert near(client.predict(file, pen=2, api_name="/photo_to_sketch"), redrawn(sketch, 2))


def test_errors_are_one_sentence_and_no_traceback(
    client: Client, server: Server, drawing: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.png").write_text("hello")
    Image.new("RGB", (90, 60), "white").save(tmp_path / "empty.png")
    questions: list[tuple[str, Path, dict[str, Any], str]] = [
        ("/photo_to_sketch", tmp_path / "notes.png", {}, "“notes.png” is not an image"),
        ("/sketch_to_photo", tmp_path / "empty.png", {}, "There are no lines in this picture"),
        ("/sketch_to_photo", drawing, {"tidy": "yes"}, "true or false"),
        ("/sketch_to_photo", drawing, {"seed": 1.5}, "The seed is an integer"),
        ("/photo_to_sketch", drawing, {"detail": 2}, "from 0 to 1"),
        ("/photo_to_sketch", drawing, {"pen": 99}, "width of the pen"),
        ("/round_trip", drawing, {"direction": "up"}, "The direction is one of"),
    ]
    for endpoint, file, options, sentence in questions:
        with pytest.raises(AppError, match=sentence):
            client.predict(handle_file(str(file)), **options, api_name=endpoint)
    assert "Traceback" not in server.log.read_text()


@pytest.mark.skipif(not shutil.which("curl") or not shutil.which("bash"), reason="needs curl and bash")
def test_curl_as_the_readme_has_it(server: Server, tmp_path: Path) -> None:
    (script,) = re.findall(r"```sh\n(api=.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    script = script.replace("http://localhost:5000", server.url).replace("@examples", f"@{ROOT}/examples")
    subprocess.run(["bash", "-euc", script], cwd=tmp_path, check=True)
    with Image.open(tmp_path / "sketch.png") as sketch, Image.open(ROOT / "examples/photos/car.jpg") as photo:
        assert sketch.size == photo.size
    assert "Traceback" not in server.log.read_text()


def test_mcp_tools(weights_folder: Path, drawing: Path) -> None:
    """Each endpoint is a tool, and its picture may be a data URL."""
    with running_server(str(weights_folder), "--mcp") as server:
        _ask_mcp(server, drawing)


def _ask_mcp(server: Server, drawing: Path) -> None:
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    url = "data:image/png;base64," + base64.b64encode(drawing.read_bytes()).decode()

    async def ask() -> tuple[list[Any], Any, Any]:
        async with (
            streamablehttp_client(f"{server.url}/gradio_api/mcp/") as (reader, writer, _),
            ClientSession(reader, writer) as session,
        ):
            await session.initialize()
            tools = (await session.list_tools()).tools
            made = await session.call_tool("sketch_to_photo", {"picture": url})
            refused = await session.call_tool("photo_to_sketch", {"picture": url, "detail": 2})
            return tools, made, refused

    with ThreadPoolExecutor(1) as thread:  # Playwright's loop runs in this one, where a browser was used before
        tools, made, refused = thread.submit(asyncio.run, ask()).result()
    assert [tool.name for tool in tools] == [name.strip("/") for name in ENDPOINTS]
    assert all("description" in tool.inputSchema["properties"]["picture"] for tool in tools)
    picture = next(part for part in made.content if part.type == "image")
    assert Image.open(BytesIO(base64.b64decode(picture.data))).size == (90, 60)
    assert refused.isError
    assert "from 0 to 1" in refused.content[0].text


def test_what_is_no_choice_is_said() -> None:
    assert direction_of("photo_to_sketch") == "photo_to_sketch"
    assert seed_of(7.0) == 7
    values: list[Any] = [None, "x", [], {}, 1.5]
    for value in values:
        for choose in (direction_of, flag_of) if value is None else (direction_of, flag_of, seed_of):
            with pytest.raises(ImageError):
                choose(value)


def test_the_page_has_gradios_own_documentation(server: Server) -> None:
    config = json.loads(urllib.request.urlopen(f"{server.url}/config").read())
    assert config["footer_links"] == ["api"]
