"""What the demo answers to bad input, and what that costs it.

    python -m tests.abuse [--weights weights] [--flood 10000]

Starts `python app.py` on a free port, sends it every case below by the road an API caller has, and writes a table in
Markdown: what the visitor reads or gets, milliseconds, and how far the server's memory rose above where it was.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any

import httpx
import numpy as np
from PIL import Image
from tqdm import tqdm

from tests.load import Part, Tally, data_url, drawing, drawing_asks
from tests.server import Server, running_server
from tests.visitor import RefusedError, Visitor, connect

MEGA = 1_000_000
PICTURE = "a picture"  # what is said of an answer that is one
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


def white_png(width: int, height: int) -> bytes:
    """A valid PNG of any size, one bit a pixel, in a few kilobytes and without the memory that it would take."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    packer, row = zlib.compressobj(9), b"\0" + b"\xff" * ((width + 7) // 8)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([1, 0, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


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
    """As the input of an upload tab's event, which an API caller writes himself."""
    outputs = await visitor.translate(direction, payload)
    sentence = " ".join(text for text in outputs if isinstance(text, str) and 'class="message"' in text)
    if not sentence:
        Image.open(BytesIO(await visitor.download(outputs[1]))).load()
    return re.sub("<[^>]*>", "", sentence) or PICTURE


async def by_canvas(make: Callable[[], Any], visitor: Visitor, _: httpx.AsyncClient) -> Said:
    """As a frame of the canvas."""
    answer = await visitor.draw(visitor.frame(make()))
    return answer.get("error") or (PICTURE if answer.get("photo") else "an empty sheet")


async def by_post(address: str, make: Callable[[], dict[str, Any]], _: Visitor, client: httpx.AsyncClient) -> Said:
    """As a bare request."""
    response = await client.post(address, **make())
    return f"HTTP {response.status_code}: {response.text}"


async def by_get(address: str, _: Visitor, client: httpx.AsyncClient) -> Said:
    return f"HTTP {(await client.get(address)).status_code}"


# --- cases ----------------------------------------------------------------------------------------------------------

LARGE = 200 * MEGA


async def chunks(size: int) -> AsyncIterator[bytes]:
    """A body of which nobody knows how long it is before its end."""
    for _ in range(size // MEGA):
        yield bytes(MEGA)


def payloads(address: str) -> dict[str, tuple[Any, str]]:
    """Name → (what an API caller writes instead of an uploaded file, what is answered)."""
    mark = {"meta": {"_type": "gradio.FileData"}}
    url = data_url(drawing(1, 9))
    return {
        "/etc/passwd": ({"path": "/etc/passwd"}, "did not arrive; upload it as a file"),
        "/etc/passwd, marked as a file": ({"path": "/etc/passwd", **mark}, "None"),
        f"address {address}": ({"path": address, **mark}, "not fetched from addresses; upload the file"),
        "address of another host": ({"path": "https://example.com/a.png", **mark}, "not fetched from addresses"),
        "address, not marked": ({"path": address}, "did not arrive"),
        "address as url": ({"path": None, "url": address, **mark}, "did not arrive|None"),
        "data URL as file": ({"path": url}, "did not arrive"),
        "data URL": (url, "did not arrive|None"),
        "a number": (7, "did not arrive|None"),
    }


def requests() -> dict[str, tuple[str, Callable[[], dict[str, Any]], str]]:
    """Name → (path, the request, what is answered): too long, or nothing that the page sends."""
    upload, canvas, join = (f"/gradio_api/{name}" for name in ("upload", "component_server/", "queue/join"))
    json_text = {"Content-Type": "application/json"}
    form = "multipart/form-data; boundary=x"
    too_large = "413: That is too large; the limit is {} MB."
    return {
        "200 MB upload": (upload, lambda: {"files": {"files": ("a.png", bytes(LARGE))}}, too_large.format(80)),
        "200 MB upload in a field": (
            upload, lambda: {"data": {"text": "a" * LARGE}, "files": {"files": b"a"}}, too_large.format(80),
        ),
        "200 MB upload, length unsaid": (
            upload, lambda: {"content": chunks(LARGE), "headers": {"Content-Type": form}}, "411: Say how long",
        ),
        "41 MB upload": (
            upload, lambda: {"files": {"files": ("a.png", bytes(41 * MEGA))}}, "413: .* maximum .* of 40000000",
        ),
        "200 MB frame": (canvas, lambda: {"content": b" " * LARGE, "headers": json_text}, too_large.format(16)),
        "200 MB event": (join, lambda: {"content": b" " * LARGE, "headers": json_text}, too_large.format(16)),
        "15 MB frame, no JSON": (canvas, lambda: {"content": b"[" * 15 * MEGA, "headers": json_text}, "400: .*Invalid"),
        "file for the canvas": (canvas, lambda: {"files": {"files": ("a.png", b"a")}}, "415"),
        "screen recording": ("/gradio_api/process_recording", lambda: {"files": {"video": ("a", b"a")}}, "415"),
    }  # fmt: skip


def cases(address: str) -> list[Case]:
    """Everything; `address` is one of this machine that must not be fetched."""
    both = ("photo_to_sketch", "sketch_to_photo")
    found = [
        Case(f"{name} as a file", partial(by_upload, both[number % 2], name, make), answer)
        for number, (name, (make, answer)) in enumerate(files().items())
    ]
    for name, (make, answer) in files().items():
        right = answer if "16 mega" in answer or "16" in answer[-3:] else "512×512|PNG|empty"
        url = partial(_url_of, make)
        found.append(Case(f"{name} as a frame", partial(by_canvas, url), f"{right}|{answer}"))
    for name, (payload, answer) in payloads(address).items():
        found.append(Case(f"{name} as a file", partial(by_payload, "photo_to_sketch", payload), answer))
    found.append(Case("2 MB of text as a frame", partial(by_canvas, lambda: "a" * 2 * MEGA), "PNG data URL"))
    found.append(Case("15 MB data URL as a frame", partial(by_canvas, lambda: data_url(bytes(11 * MEGA))), "too large"))
    found.append(Case("a deep list as a frame", partial(by_canvas, _deep_list), "PNG data URL"))
    for name, (path, request, answer) in requests().items():
        found.append(Case(name, partial(by_post, path, request), answer))
    for path in ("/etc/passwd", "app.py", "../app.py", "weights/config.json"):
        found.append(Case(f"download of {path}", partial(by_get, f"/gradio_api/file={path}"), "HTTP 40[34]"))
    return found


def _url_of(make: Callable[[], bytes]) -> str:
    return data_url(make())


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


# --- bad manners ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Flood:
    """What came of a flood of frames."""

    answers: int
    busy: int
    waits: list[float]  # seconds that somebody else, who draws as one does, waited for each of his pictures
    grown: float  # of the server's memory, in MB
    files: int  # more than before


async def flood(server: Server, frames: int, at_once: int) -> Flood:
    """One visitor sends `frames` different frames as fast as he can, `at_once` on their way; another one draws."""
    memory, files = server.memory(), server.files()[0]
    answers = busy = 0
    async with connect(server.url) as client:
        pest, other = await Visitor.arrive(client), await Visitor.arrive(client)
        sheets = [pest.frame(data_url(drawing(1, lines % 20 + 2)), final=lines % 9 == 8) for lines in range(20)]
        left = iter(range(frames))

        async def send() -> None:
            nonlocal answers, busy
            for number in left:
                answer = await pest.draw(sheets[number % len(sheets)])
                answers += bool(answer.get("photo"))
                busy += bool(answer.get("busy"))

        tally = Tally()
        part = Part(drawing_asks(other, 2), tally)
        await part.rehearse()
        neighbour = asyncio.create_task(part.play(float("inf"), set(part.expected)))
        await asyncio.gather(*(send() for _ in range(at_once)))
        neighbour.cancel()
    assert (tally.errors, tally.swapped, tally.wrong, tally.lost) == (0, 0, 0, 0)
    return Flood(answers, busy, sorted(tally.waits), (server.memory() - memory) / MEGA, server.files()[0] - files)


async def leave(server: Server, times: int) -> None:
    """Visitors who close the page while their picture is made, on the canvas and in the queue."""
    async with connect(server.url) as client:
        visitor = await Visitor.arrive(client)
        frame = visitor.frame(data_url(drawing(1, 9)))
        upload = await visitor.upload("a.png", drawing(1, 9))
    for _ in range(times):
        async with connect(server.url) as client:
            leaver = Visitor(client, visitor.canvas)
            going = [
                asyncio.create_task(one) for one in (leaver.draw(frame), leaver.translate("photo_to_sketch", upload))
            ]
            await asyncio.wait(going, timeout=0.02)
            for one in going:
                one.cancel()
            await asyncio.gather(*going, return_exceptions=True)


async def many_events(server: Server, count: int) -> list[Said]:
    """What so many visitors read who send a picture at the same time."""

    async with connect(server.url) as client:
        visitor = await Visitor.arrive(client)

        async def one(upload: dict[str, Any]) -> Said:
            try:
                return await by_payload("photo_to_sketch", upload, visitor, client)
            except RefusedError as refusal:
                return str(refusal)

        uploads = [await visitor.upload(f"{number}.png", drawing(number, 9)) for number in range(count)]
        return await asyncio.gather(*(one(upload) for upload in uploads))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="weights")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--flood", type=int, default=10_000, help="frames of a flood at the end; default: %(default)s")
    options = parser.parse_args()
    with running_server(options.weights) as server:
        tqdm.write("| what is sent | what the visitor reads or gets | ms | memory, MB |\n|---|---|---|---|")
        for case in (case for case in cases(server.url) if options.only in case.name):
            outcome = asyncio.run(attempt(server, case))
            row = (case.name, outcome.said, f"{outcome.milliseconds:.0f}", f"{outcome.growth:.0f}")
            tqdm.write(f"| {' | '.join(row)} |")
        if options.flood:
            came = asyncio.run(flood(server, options.flood, at_once=8))
            waits = [came.waits[round(share * (len(came.waits) - 1))] for share in (0.5, 0.99, 1)]
            tqdm.write(
                f"\n{options.flood} frames, 8 at once: {came.answers} pictures, {came.busy} times busy, memory"
                f" {came.grown:+.0f} MB, temporary files {came.files:+d}; somebody else's {len(came.waits)} pictures"
                f" came after {waits[0]:.2f} s (median), {waits[1]:.2f} s (p99), {waits[2]:.2f} s (longest)."
            )


if __name__ == "__main__":
    main()
