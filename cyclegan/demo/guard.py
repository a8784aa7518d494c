"""What Gradio would do for any stranger and a public page must not: serve every route, read bodies without end, fetch
addresses, keep uploads without a limit."""

from __future__ import annotations

import logging
import re
import shutil
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, NoReturn

import gradio as gr
from gradio import processing_utils
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cyclegan.images import MAX_FILE_BYTES

log = logging.getLogger(__name__)

MAX_UPLOAD_BYTES = 2 * MAX_FILE_BYTES + 100_000  # of all the files of one request, and what wraps them
MAX_BODY_BYTES = 16_000_000  # of any other request; a frame of the canvas has 2,000,000 at most
MAX_EVENTS_WAITING = 32  # in the queue, from all visitors together
MAX_FOLDER_BYTES = 2_000_000_000  # of all uploads and results
MIN_AGE_SECONDS = 60  # younger files are in use

# What the page and gradio_client ask for. Everything else is not found, such as /process_recording, which keeps
# files for good, and /proxy=. Each release of Gradio adds routes, so a list of forbidden ones would have holes.
API = "/gradio_api"
READ = ("GET", "HEAD")
ROUTES = [
    (READ, re.compile(rf"/|/config/?|({API})?/theme\.css|/favicon\.ico|/robots\.txt|/manifest\.json|/pwa_icon(/\d+)?")),
    (READ, re.compile(r"/(static|assets|svelte)/.+")),
    (READ, re.compile(r"/logout|/(login_check|token|user|app_id)/?")),
    (("POST",), re.compile(r"/login/?")),
    (READ, re.compile(rf"{API}/(info|app_id|user|login_check|token)/?")),
    (READ, re.compile(rf"{API}/(startup-events|openapi\.json|upload_progress|queue/data|queue/status)")),
    (READ, re.compile(rf"{API}/heartbeat/[^/]+|{API}/file=.+")),
    (READ, re.compile(rf"{API}/call/(v2/)?[^/]+/[^/]+")),
    (("POST",), re.compile(rf"{API}/(upload|queue/join|cancel|reset/?|component_server/?)")),
    (("POST",), re.compile(rf"{API}/(call|call/v2|run|api)/[^/]+/?")),
    (READ, re.compile(rf"{API}/mcp/schema")),
    (("GET", "POST", "DELETE"), re.compile(rf"{API}/mcp/?")),
]  # fmt: skip
NOT_TAKEN = "That is not what this event takes; see the API's description at /gradio_api/info."
UPLOAD, UPLOAD_PROGRESS = f"{API}/upload", f"{API}/upload_progress"


class RequestGuard:
    """ASGI middleware: routes that nobody needs are not found, a body too large is refused before any of it is read,
    and a request that did not say how large it would be is hung up on.

    Gradio limits each file of an upload, but neither how many there are, nor fields that are no files, nor JSON.
    """

    def __init__(self, app: ASGIApp, folder: Path | None = None, keep: Collection[str] = ()) -> None:
        """``folder``: of the uploads, held below MAX_FOLDER_BYTES; ``keep``: paths in it that belong to the page."""
        self._app = app
        self._folder = folder
        self._keep = keep

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            return await PlainTextResponse("Not found.", 404)(scope, receive, send)
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        path = _route(scope)
        limit = MAX_UPLOAD_BYTES if path == UPLOAD else MAX_BODY_BYTES
        if refusal := _refusal(scope, path, limit):
            return await refusal(scope, receive, send)
        if path == UPLOAD and self._folder:
            await run_in_threadpool(make_room, self._folder, MAX_FOLDER_BYTES - MAX_UPLOAD_BYTES, keep=self._keep)
        if path == UPLOAD_PROGRESS:
            send = _done_if_not_found(scope, receive, send)
        left, begun = limit, False

        async def limited() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            return message if left >= 0 else {"type": "http.disconnect"}

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, limited, noted)
        except Exception as error:  # Gradio takes the keys of whatever JSON it gets; its traceback would fill the log
            log.warning("%s %s failed: %.200s", scope["method"], path, repr(error))
            log.debug("", exc_info=True)
            if not begun:
                await PlainTextResponse("This request cannot be answered.", 400)(scope, receive, send)


def _done_if_not_found(scope: Scope, receive: Receive, send: Send) -> Send:
    """``send``, with an empty progress in place of "not found".

    Gradio waits three seconds for an upload to begin. One over a slow line may only be late, and the page would report
    an error that nobody can do anything about: the picture arrives all the same.
    """
    found = True

    async def instead(message: Message) -> None:
        nonlocal found
        if message["type"] == "http.response.start" and message["status"] == 404:
            found = False
            done = PlainTextResponse('data: {"msg": "done"}\n\n', media_type="text/event-stream")
            await done(scope, receive, send)
        elif found:
            await send(message)

    return instead


def _route(scope: Scope) -> str:
    """The path as the application's router sees it: below the root path, if a proxy did not cut that off."""
    path, root = str(scope["path"]), str(scope.get("root_path") or "").rstrip("/")
    return path[len(root) :] or "/" if root and (path == root or path.startswith(f"{root}/")) else path


def _refusal(scope: Scope, path: str, limit: int) -> PlainTextResponse | None:
    if not any(scope["method"] in methods and pattern.fullmatch(path) for methods, pattern in ROUTES):
        return PlainTextResponse("Not found.", 404)
    types = [value.strip().lower() for name, value in scope["headers"] if name.lower() == b"content-type"]
    lengths = {value.strip() for name, value in scope["headers"] if name.lower() == b"content-length"}
    if len(types) > 1 or len(lengths) > 1:
        return PlainTextResponse("A header was sent twice.", 400)
    if path != UPLOAD and path.rstrip("/") != "/login" and any(one.startswith(b"multipart/") for one in types):
        return PlainTextResponse("Files are uploaded elsewhere.", 415)  # Gradio would keep them for ever
    length = lengths.pop() if lengths else b"0"
    if not length.isdigit():
        return PlainTextResponse("The content length is not a number.", 400)
    if len(length) > 18 or int(length) > limit:  # int() refuses thousands of digits
        return PlainTextResponse(f"That is too large; the limit is {limit // 10**6} MB.", 413)
    return None


_making_room = threading.Lock()


def make_room(folder: Path, limit: int, now: float | None = None, keep: Collection[str] = ()) -> None:
    """Deletes files below ``folder``, the oldest first, until at most ``limit`` bytes are left.

    Files younger than MIN_AGE_SECONDS are in use, and so are those that this process holds open: both stay, and so do
    the paths in ``keep``. ``now``: seconds since the epoch; the clock's if not given.
    """
    now = time.time() if now is None else now
    with _making_room:
        found = sorted(_files(folder))
        total = sum(size for _, size, _ in found)
        held: set[Path] | None = None
        for changed, size, path in found:
            if total <= limit or now - changed < MIN_AGE_SECONDS:
                return  # the others are younger still
            held = _open_files() if held is None else held
            if str(path) in keep or path.resolve() in held:
                continue
            try:
                path.unlink()
            except OSError:  # Windows deletes no open file; another may have deleted it
                continue
            total -= size
            if path.parent != folder and not any(path.parent.iterdir()):
                shutil.rmtree(path.parent, ignore_errors=True)


def _files(folder: Path) -> list[tuple[float, int, Path]]:
    """(time of the last change, bytes, path) of each file."""
    found = []
    for path in folder.rglob("*"):
        try:
            if path.is_file() and not path.is_symlink():
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
        except OSError:  # deleted meanwhile
            continue
    return found


def _open_files() -> set[Path]:
    """Files that this process holds open, where the system tells (Linux)."""
    links = Path("/proc/self/fd")
    found = set()
    for link in links.iterdir() if links.is_dir() else ():
        try:
            found.add(link.resolve())
        except OSError:
            continue
    return found


async def refuse_to_fetch(url: str, cache_dir: str) -> NoReturn:
    """In place of Gradio's download of a picture that an API caller names by its address."""
    raise gr.Error("Pictures are not fetched from addresses; upload the file.", print_exception=False)


def _marked(value: Any) -> Any:
    """A file that an API caller names by its path alone, with Gradio's mark of a file, so that it is checked as one."""
    if isinstance(value, dict) and isinstance(value.get("path"), str) and "meta" not in value:
        return value | {"meta": {"_type": "gradio.FileData"}}
    return value


class GuardedBlocks(gr.Blocks):
    """Blocks whose events answer any JSON in place of their inputs in one sentence, without a traceback in the log."""

    async def preprocess_data(self, block_fn: Any, inputs: Any, *arguments: Any, **options: Any) -> Any:
        """As Gradio's; inputs that an API caller leaves out at the end have their usual values."""
        components = block_fn.inputs
        if (components and not inputs) or len(inputs) > len(components):
            raise gr.Error(NOT_TAKEN, print_exception=False)
        inputs = [_marked(value) for value in inputs]
        inputs = [*inputs, *(component.value for component in components[len(inputs) :])]
        try:
            return await super().preprocess_data(block_fn, inputs, *arguments, **options)
        except gr.Error as error:
            raise gr.Error(error.message, print_exception=False) from None
        except Exception as error:  # whatever Gradio does with paths that are none and lists that it takes for objects
            log.debug("inputs refused: %.200r", error)
            raise gr.Error(NOT_TAKEN, print_exception=False) from None


def guard(demo: gr.Blocks) -> dict[str, Any]:
    """Bounds the queue, forbids downloads, and returns the `app_kwargs` of `launch` that bound the requests."""
    processing_utils.async_ssrf_protected_download = refuse_to_fetch
    demo.queue(max_size=MAX_EVENTS_WAITING)
    keep = {str(path) for block in demo.blocks.values() for path in getattr(block, "keep_in_cache", ())}
    return {"middleware": [Middleware(RequestGuard, folder=Path(demo.GRADIO_CACHE), keep=keep)]}
