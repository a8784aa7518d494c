"""A visitor of the page without a browser: the requests that the page makes, sent to a running server."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any, TypeVar

import httpx
from PIL import Image

T = TypeVar("T")

PATIENCE = 120.0  # seconds
PICTURE = "a picture"  # what is said of an answer that is one


class RefusedError(Exception):
    """The server did not do what it was asked; the message is what the visitor gets to read."""


class Visitor:
    """One open page: a session of its own, the address of the canvas, the events of the upload tabs."""

    def __init__(self, client: httpx.AsyncClient, canvas: int) -> None:
        self._client = client
        self.canvas = canvas
        self._session = secrets.token_hex(6)

    @classmethod
    async def arrive(cls, client: httpx.AsyncClient) -> Visitor:
        """Loads the page's configuration, as the page does; `client` knows the server's address."""
        config = (await client.get("/config")).json()
        canvas = next(one["id"] for one in config["components"] if one["props"].get("elem_id") == "draw")
        return cls(client, canvas)

    def frame(self, strokes: Any, final: bool = False, onto: str | None = None, function: str = "redraw") -> bytes:
        """The body of the request that carries one frame of the canvas: `strokes` on what was answered as `kept`."""
        body = {
            "data": {"onto": onto, "strokes": strokes, "final": final, "tidy": True},
            "component_id": self.canvas,
            "fn_name": function,
        }
        return json.dumps(body | {"session_hash": self._session}).encode()

    async def draw(self, frame: bytes) -> dict[str, Any]:
        """What the canvas is answered: `photo` (or `returned`) and `kept`, or `unknown`, or `busy`, or `error`."""
        address = "/gradio_api/component_server/"
        response = await self._client.post(address, content=frame, headers={"Content-Type": "application/json"})
        return _checked(response).json()

    async def upload(self, name: str, content: bytes, mime: str = "image/png") -> dict[str, Any]:
        """The file as endpoints take it."""
        response = await self._client.post("/gradio_api/upload", files={"files": (name, content, mime)})
        path = _checked(response).json()[0]
        return {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}

    async def translate(self, direction: str, upload: Any) -> list[Any]:
        """The outputs of an endpoint, through the queue."""
        return await self.call(direction, [upload, True] if direction == "sketch_to_photo" else [upload])  # True: tidy

    async def call(self, direction: str, inputs: list[Any]) -> list[Any]:
        """The outputs of an endpoint with just these inputs."""
        call = f"/gradio_api/call/{direction}"
        event = _checked(await self._client.post(call, json={"data": inputs})).json()["event_id"]
        async with self._client.stream("GET", f"{call}/{event}") as stream:
            kind = ""
            async for line in stream.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data" and kind == "complete":
                    return json.loads(value)
                elif name == "data" and kind == "error":
                    raise RefusedError(_sentence(json.loads(value)))
        raise RefusedError("The stream of events ended without an answer.")

    async def read(self, direction: str, upload: Any) -> str:
        """PICTURE, where the endpoint makes one. Raises RefusedError with its sentence where not."""
        (picture,) = await self.translate(direction, upload)
        Image.open(BytesIO(await self.download(picture))).load()
        return PICTURE

    async def download(self, picture: dict[str, Any]) -> bytes:
        return _checked(await self._client.get(picture["url"])).content


def connect(url: str) -> httpx.AsyncClient:
    """Connections to the server for as many visitors as you like."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=200)
    return httpx.AsyncClient(base_url=url, limits=limits, timeout=PATIENCE, trust_env=False)


def run(work: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` in a thread of its own: where a browser is open, Playwright's loop already runs in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def _checked(response: httpx.Response) -> httpx.Response:
    if response.is_error:
        raise RefusedError(f"HTTP {response.status_code}: {response.text}")
    return response


def _sentence(error: Any) -> str:
    return str(error.get("error", error)) if isinstance(error, dict) else str(error)
