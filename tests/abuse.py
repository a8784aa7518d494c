"""What the demo answers to bad input, and what that costs it.

    python -m tests.abuse [--weights weights] [--flood 10000]

Starts `python app.py` on a free port, sends it every case below by the road an API caller has, and writes a table in
Markdown: what the visitor reads or gets, milliseconds, and how far the server's memory rose above where it was.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any

import httpx
import numpy as np
from PIL import Image
from tqdm import tqdm

from tests import bad_clients
from tests.load import data_url, drawing
from tests.pictures import white_png
from tests.server import Server, running_server
from tests.visitor import PICTURE, RefusedError, Visitor, connect, run

MEGA = 1_000_000
Said = str
Attempt = Callable[[Visitor, httpx.AsyncClient], Awaitable[Said]]


@dataclass(frozen=True)
class Case:
    """One thing that a stranger may send."""

    name: str
    attempt: Attempt
    answer: str  # regular expression


# --- files ----------------------------------------------------------------------------------------------------------


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def turned(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(image, "JPEG", exif=exif)


def files() -> dict[str, tuple[Callable[[], bytes], str]]:
    """Name → (the file's content, what is answered)."""
    sheet = Image.open(BytesIO(drawing(1, 9)))
    clear = Image.new("RGBA", sheet.size)
    clear.putalpha(sheet.convert("L").point(lambda value: 255 - value))
    deep = Image.fromarray(np.asarray(sheet.convert("L"), dtype=np.uint16) * 257)
    frames = [sheet, Image.new("RGB", sheet.size, "red")]
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    return {
        "transparent.png": (partial(encoded, clear), PICTURE),
        "16-bit.png": (partial(encoded, deep), PICTURE),
        "cmyk.jpg": (partial(encoded, sheet.convert("CMYK"), "JPEG"), PICTURE),
        "palette.png": (partial(encoded, sheet.convert("P")), PICTURE),
        "animated.gif": (partial(encoded, frames[0], "GIF", save_all=True, append_images=frames[1:]), PICTURE),
        "turned.jpg": (partial(turned, sheet), PICTURE),
        "4000×4000.png": (partial(white_png, 4000, 4000), PICTURE),
        "1×1.png": (partial(white_png, 1, 1), "each side needs at least 16"),
        "5000×2.png": (partial(white_png, 5000, 2), "each side needs at least 16"),
        "5000×20.png": (partial(white_png, 5000, 20), "at most 20 times"),
        "13000×13000.png": (partial(white_png, 13000, 13000), "limit is 16 megapixels"),
        "20000×20000.png": (partial(white_png, 20000, 20000), "limit is 16 megapixels"),
        "text.png": (partial(bytes, b"hello"), "not an image that can be read; use PNG"),
        "drawing.svg": (partial(bytes, svg), "SVG drawing; export it as PNG"),
        "cut.png": (lambda: encoded(sheet)[:3000], "damaged or cut short"),
        "empty.png": (partial(bytes, 0), "empty"),
    }


# --- roads ----------------------------------------------------------------------------------------------------------


async def by_upload(
    direction: str, name: str, make: Callable[[], bytes], visitor: Visitor, _: httpx.AsyncClient
) -> Said:
    """As a file for an upload tab."""
    return await by_payload(direction, await visitor.upload(name, make()), visitor, _)


async def by_payload(direction: str, payload: Any, visitor: Visitor, _: httpx.AsyncClient) -> Said:
    """As the input of an endpoint."""
    return await visitor.read(direction, payload)


async def by_inputs(inputs: list[Any], visitor: Visitor, _: httpx.AsyncClient) -> Said:
    """As any number of inputs of an endpoint."""
    outputs = await visitor.call("sketch_to_photo", inputs)
    return PICTURE if outputs[0] else "no picture"


async def by_file_alone(visitor: Visitor, _: httpx.AsyncClient) -> Said:
    """As curl does that gives the file and none of the options."""
    outputs = await visitor.call("sketch_to_photo", [await visitor.upload("a.png", drawing(1, 9))])
    return PICTURE if outputs[0] else "no picture"


async def by_canvas(make: Callable[[], Any], visitor: Visitor, _: httpx.AsyncClient) -> Said:
    """As the strokes of a frame of the canvas."""
    answer = await visitor.draw(visitor.frame(make()))
    return answer.get("error") or (PICTURE if answer.get("photo") else "an empty sheet")


async def by_post(address: str, make: Callable[[], dict[str, Any]], _: Visitor, client: httpx.AsyncClient) -> Said:
    """As a bare request."""
    response = await client.post(address, **make())
    return f"HTTP {response.status_code}: {response.text}"


async def by_get(address: str, _: Visitor, client: httpx.AsyncClient) -> Said:
    return f"HTTP {(await client.get(address)).status_code}"


def multipart(content_type: str, *more: tuple[str, str]) -> dict[str, Any]:
    """A file in a form, with the headers exactly so."""
    body = b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.png"\r\n\r\nhello\r\n--x--\r\n'
    return {"content": body, "headers": [("Content-Type", content_type), *more]}


# --- cases ----------------------------------------------------------------------------------------------------------

NOT_AS_EXPECTED = "not what this event takes"
LARGE = 90 * MEGA  # more than any limit


async def chunks(size: int) -> AsyncIterator[bytes]:
    """An upload of which nobody knows how long it is before its end."""
    yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    for _ in range(size // MEGA):
        yield bytes(MEGA)


def payloads(address: str) -> dict[str, tuple[Any, str]]:
    """Name → (what an API caller writes instead of an uploaded file, what is answered)."""
    mark = {"meta": {"_type": "gradio.FileData"}}
    url = data_url(drawing(1, 9))
    return {
        "/etc/passwd": ({"path": "/etc/passwd"}, "did not arrive; upload it as a file"),
        "/etc/passwd, marked as a file": ({"path": "/etc/passwd", **mark}, "did not arrive"),
        f"address {address}": ({"path": address, **mark}, "not fetched from addresses; upload the file"),
        "address of another host": ({"path": "https://example.com/a.png", **mark}, "not fetched from addresses"),
        "address, not marked": ({"path": address}, "not fetched from addresses"),
        "address as url": ({"path": None, "url": address, **mark}, "did not arrive"),
        "data URL as file": ({"path": url}, "did not arrive"),
        "data URL": (url, "did not arrive"),
        "a number": (7, "did not arrive"),
        "text": ("a.png", "did not arrive"),
        "a list": ([1, [2]], "did not arrive"),
        "a number as path": ({"path": 7}, "did not arrive"),
        "a list as path": ({"path": [["a"]]}, "did not arrive"),
        "an object as path, marked": ({"path": {"a": 1}, **mark}, "did not arrive"),
        "a NUL in the path": ({"path": "/tmp/\0.png"}, "did not arrive"),
        "a NUL in the path, marked": ({"path": "/tmp/\0.png", **mark}, "did not arrive"),
        "a path of 9,000 characters": ({"path": "/tmp/" + "a" * 9000, **mark}, "did not arrive"),
        "a deep list": (_deep_list(), "did not arrive"),
    }


def drawings() -> dict[str, tuple[Callable[[], Any], str]]:
    """Name → (what comes in place of strokes, what is answered)."""

    def stroke(points: Any, **more: Any) -> list[dict[str, Any]]:
        return [{"colour": "#000000", "width": 64, "points": points, **more}]

    return {
        "2 MB of text": (lambda: "a" * 2 * MEGA, "list of strokes"),
        "a deep list": (_deep_list, "list of strokes"),
        "2 MB of text as a picture": (lambda: [{"image": "a" * 2 * MEGA}], "PNG data URL"),
        "15 MB data URL": (lambda: [{"image": data_url(bytes(11 * MEGA))}], "too large"),
        "500 pictures": (lambda: [{"image": data_url(drawing(1, 9))}] * 500, "at most 4 pictures"),
        "2 million points": (lambda: stroke([1] * 4 * MEGA), "too many strokes"),
        "100,000 strokes": (lambda: stroke([1, 1]) * 100_000, "too many strokes"),
        "lines to and fro, far away": (lambda: stroke([0, 0, *[MEGA, MEGA, -MEGA, -MEGA] * 4000]), "too long"),
        "20,000 bold lines across the sheet": (lambda: stroke([0, 0, *[5120, 4000, -5120, -4000] * 9000]), "too long"),
        "a point beyond all numbers": (lambda: stroke([10**400, 0]), "does not make"),
        "points that add up to too much": (lambda: stroke([MEGA] * 40), "does not make"),
        "half a point": (lambda: stroke([1, 2, 3]), "does not make"),
        "text for points": (lambda: stroke("ab"), "does not make"),
        "a pressure of 1,000": (lambda: stroke([1, 2], pressures=[10_000]), "does not make"),
        "a colour by name": (lambda: stroke([1, 2], colour="red"), "does not make"),
        "a width of NaN": (lambda: stroke([1, 2], width=float("nan")), "at most 64 pixels wide"),
        "a stroke that goes on and never began": (lambda: [{"points": [1, 2]}], "does not make"),
    }


def requests() -> dict[str, tuple[str, Callable[[], dict[str, Any]], str]]:
    """Name → (path, the request, what is answered): too long, or nothing that the page sends."""
    upload, canvas, join = (f"/gradio_api/{name}" for name in ("upload", "component_server/", "queue/join"))
    json_text = {"Content-Type": "application/json"}
    form = "multipart/form-data; boundary=x"
    session = {"session_hash": "a"}
    too_large = "413: That is too large; the limit is {} MB."
    return {
        "90 MB upload": (upload, lambda: {"files": {"files": ("a.png", bytes(LARGE))}}, too_large.format(80)),
        "90 MB upload in a field": (
            upload, lambda: {"data": {"text": "a" * LARGE}, "files": {"files": b"a"}}, too_large.format(80),
        ),
        "90 MB upload, length unsaid": (
            upload, lambda: {"content": chunks(LARGE), "headers": {"Content-Type": form}}, "413: File size exceeded",
        ),
        "41 MB upload": (
            upload, lambda: {"files": {"files": ("a.png", bytes(41 * MEGA))}}, "413: .* maximum .* of 40000000",
        ),
        "90 MB frame": (canvas, lambda: {"content": b" " * LARGE, "headers": json_text}, too_large.format(16)),
        "90 MB event": (join, lambda: {"content": b" " * LARGE, "headers": json_text}, too_large.format(16)),
        "15 MB frame, no JSON": (canvas, lambda: {"content": b"[" * 15 * MEGA, "headers": json_text}, "400: .*Invalid"),
        "file for the canvas": (canvas, lambda: {"files": {"files": ("a.png", b"a")}}, "415"),
        "screen recording": (
            "/gradio_api/process_recording", lambda: {"files": {"video": ("a", b"a")}}, "404: Not found",
        ),
        "file for the canvas, odd case": (canvas, lambda: multipart("Multipart/form-data; boundary=x"), "415"),
        "file for the canvas, spaces": (canvas, lambda: multipart("MULTIPART/Form-Data ;  boundary=x"), "415"),
        "file for the canvas, two types": (
            canvas, lambda: multipart(form, ("Content-Type", "application/json")), "400: .*twice",
        ),
        "file for the canvas, in chunks": (
            canvas, lambda: {"content": chunks(MEGA), "headers": {"Content-Type": form.replace("m", "M")}}, "415",
        ),
        "component that is not there": (
            canvas, lambda: {"json": {"data": 1, "component_id": 9999, "fn_name": "redraw", **session}},
            "400: .*cannot be answered",
        ),
        "component that is a list": (canvas, lambda: {"json": {"component_id": [], "fn_name": {}}}, "HTTP 4"),
        "no object for the canvas": (canvas, lambda: {"json": [1]}, "HTTP 4"),
        "event that is not there": (join, lambda: {"json": {"data": [], "fn_index": 999, **session}}, "HTTP 4"),
        "event without a function": (join, lambda: {"json": {"data": [], **session}}, "HTTP 4"),
        "event by a list": (join, lambda: {"json": {"data": 7, "fn_index": [[]]}}, "HTTP 4"),
        "cancel of nothing": (
            "/gradio_api/cancel", lambda: {"json": {"fn_index": -1, "event_id": "b", **session}}, "HTTP [24]",
        ),
        "code for the page": ("/gradio_api/vibe-code", lambda: {"json": {"code": "1"}}, "404: Not found"),
    }  # fmt: skip


def cases(address: str) -> list[Case]:
    """Everything; `address` is one of this machine that must not be fetched."""
    both = ("photo_to_sketch", "sketch_to_photo")
    found = [
        Case(f"{name} as a file", partial(by_upload, both[number % 2], name, make), answer)
        for number, (name, (make, answer)) in enumerate(files().items())
    ]
    for name, (make, answer) in files().items():
        answer = f"limit is 262144 pixels|512×512|PNG|empty|{answer}"
        found.append(Case(f"{name} as a frame", partial(by_canvas, partial(_picture, make)), answer))
    for name, (payload, answer) in payloads(address).items():
        found.append(
            Case(f"{name} as a file", partial(by_payload, "photo_to_sketch", payload), f"{answer}|{NOT_AS_EXPECTED}")
        )
    for name, (strokes, answer) in drawings().items():
        found.append(Case(f"{name} as a frame", partial(by_canvas, strokes), answer))
    for name, (path, request, answer) in requests().items():
        found.append(Case(name, partial(by_post, path, request), answer))
    for count in (0, 5):
        found.append(
            Case(
                f"an event with {count} inputs",
                partial(by_inputs, [7] * count),
                "did not arrive|not what this event takes",
            )
        )
    found.append(Case("the file alone", by_file_alone, PICTURE))
    for path in ("/etc/passwd", "app.py", "../app.py", "weights/config.json"):
        found.append(Case(f"download of {path}", partial(by_get, f"/gradio_api/file={path}"), "HTTP 40[34]"))
    return found


def _picture(make: Callable[[], bytes]) -> list[dict[str, str]]:
    return [{"image": data_url(make())}]


def _deep_list() -> Any:
    deep: Any = []
    for _ in range(500):
        deep = [deep]
    return deep


@dataclass(frozen=True)
class Outcome:
    said: Said
    milliseconds: float
    growth: float  # of the server's memory, in MB


async def attempt(server: Server, case: Case) -> Outcome:
    """Sends one case, and sees what comes of it."""
    async with connect(server.url) as client:
        visitor = await Visitor.arrive(client)
        server.forget_peak()
        before, start = server.memory(), time.perf_counter()
        try:
            said = await case.attempt(visitor, client)
        except RefusedError as refusal:
            said = str(refusal)
        took = (time.perf_counter() - start) * 1000
    return Outcome(said, took, (server.peak_memory() - before) / MEGA)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="weights")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--flood", type=int, default=10_000, help="frames of a flood at the end; default: %(default)s")
    options = parser.parse_args()
    with running_server(options.weights) as server:
        tqdm.write("| what is sent | what the visitor reads or gets | ms | memory, MB |\n|---|---|---|---|")
        for case in (case for case in cases(server.url) if options.only in case.name):
            outcome = run(attempt(server, case))
            row = (case.name, outcome.said, f"{outcome.milliseconds:.0f}", f"{outcome.growth:.0f}")
            tqdm.write(f"| {' | '.join(row)} |")
        if options.flood:
            came = run(bad_clients.flood(server, options.flood, at_once=8))
            waits = [came.waits[round(share * (len(came.waits) - 1))] for share in (0.5, 0.99, 1)]
            tqdm.write(
                f"\n{options.flood} frames, 8 at once: {came.answers} pictures, {came.busy} times busy, memory"
                f" {came.grown:+.0f} MB, temporary files {came.files:+d}; somebody else's {len(came.waits)} pictures"
                f" came after {waits[0]:.2f} s (median), {waits[1]:.2f} s (p99), {waits[2]:.2f} s (longest)."
            )


if __name__ == "__main__":
    main()
