"""What Gradio would do for any stranger and a public page must not: read bodies without end, fetch addresses."""

from __future__ import annotations

from typing import Any, NoReturn

import gradio as gr
from gradio import processing_utils
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cyclegan.images import MAX_FILE_BYTES

MAX_UPLOAD_BYTES = 2 * MAX_FILE_BYTES + 100_000  # of all the files of one request, and what wraps them
MAX_BODY_BYTES = 16_000_000  # of any other request; a frame of the canvas has 2,000,000 at most
MAX_EVENTS_WAITING = 32  # in the queue, from all visitors together


class BodyLimit:
    """ASGI middleware that answers a request with a body too large before any of it is read, and hangs up on one that
    did not say how large it would be.

    Gradio limits each file of an upload, but neither how many there are, nor fields that are no files, nor JSON.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if refusal := _refusal(scope):
            return await refusal(scope, receive, send)
        left = _limit(scope)

        async def limited() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            return message if left >= 0 else {"type": "http.disconnect"}

        await self._app(scope, limited, send)


def _limit(scope: Scope) -> int:
    return MAX_UPLOAD_BYTES if scope["path"].endswith("/upload") else MAX_BODY_BYTES


def _refusal(scope: Scope) -> PlainTextResponse | None:
    headers = dict(scope["headers"])
    limit = _limit(scope)
    if headers.get(b"content-type", b"").startswith(b"multipart/") and limit == MAX_BODY_BYTES:
        return PlainTextResponse("Files are uploaded elsewhere.", 415)  # Gradio would keep them for ever
    if int(headers.get(b"content-length", 0)) > limit:
        return PlainTextResponse(f"That is too large; the limit is {limit // 10**6} MB.", 413)
    return None


async def refuse_to_fetch(url: str, cache_dir: str) -> NoReturn:
    """In place of Gradio's download of a picture that an API caller names by its address."""
    raise gr.Error("Pictures are not fetched from addresses; upload the file.", print_exception=False)


def guard(demo: gr.Blocks) -> dict[str, Any]:
    """Bounds the queue, forbids downloads, and returns the `app_kwargs` of `launch` that bound the requests."""
    processing_utils.async_ssrf_protected_download = refuse_to_fetch
    demo.queue(max_size=MAX_EVENTS_WAITING)
    return {"middleware": [Middleware(BodyLimit)]}
