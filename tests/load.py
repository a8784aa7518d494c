"""How the demo bears many visitors at once, measured through its real API.

    python -m tests.load [--clients 1 10 50] [--seconds 120] [--weights weights] [--json FILE]

Starts `python app.py` on a free port and sends it visitors, as the page would: those who draw send the next frame
10 ms after the answer to the last, without a pause; one in five (--uploading) turns pictures of its own, one after the
other. Everybody has pictures of his own, and knows from a first round, made alone, what comes back for each:

    pictures/s, p50 … max   pictures that came back, and ms until they did, the time of being told "busy" included
    busy                    answers that told the visitor to wait, which the page does for him
    errors                  requests that failed
    swapped, wrong, lost    pictures that were another visitor's, nobody's, or missing: must all be 0; a preview, as
                            the page sends while others wait, is known by what it shows
    memory                  of the server in MB: at the start, at the end, and the peak between
    files                   temporary files that came to be, and their MB
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from tqdm import tqdm

from tests.server import Server, running_server
from tests.visitor import RefusedError, Visitor, connect, run

FRAMES = 6  # of a drawing, each with one line more
UPLOADS = 3  # pictures of one visitor
FRAME_GAP, RETRY_GAP = 0.01, 1.0  # seconds, as in demo/web/photo.js
MEGA = 1_000_000
ALIKE = 8  # of 255: mean difference of the thumbnails of a photo and its preview

Thumbnail = NDArray[np.int_]  # 16×16×3
Answer = bytes | None  # a picture, or "busy"
Ask = Callable[[], Awaitable[Answer]]


@dataclass
class Tally:
    """What one kind of visitor saw."""

    waits: list[float] = field(default_factory=list)  # seconds
    busy: int = 0
    errors: int = 0
    swapped: int = 0
    wrong: int = 0
    lost: int = 0

    def judge(self, answer: bytes, expected: bytes, everybodys: Mapping[bytes, Thumbnail]) -> None:
        """``everybodys``: all pictures with their thumbnails."""
        if not answer:
            self.lost += 1
        elif answer != expected:
            shown = shows(answer, everybodys)
            self.swapped += shown not in {None, expected}
            self.wrong += shown is None


def shows(answer: bytes, pictures: Mapping[bytes, Thumbnail]) -> bytes | None:
    """Which of the pictures this is, perhaps of another size; None: none of them."""
    if answer in pictures:
        return answer
    try:
        small = thumbnail(answer)
    except (OSError, ValueError):
        return None
    distances = {picture: float(np.abs(small - other).mean()) for picture, other in pictures.items()}
    nearest = min(distances, key=lambda picture: distances[picture])
    return nearest if distances[nearest] < ALIKE else None


def thumbnails(pictures: Iterable[bytes]) -> dict[bytes, Thumbnail]:
    return {picture: thumbnail(picture) for picture in pictures}


def thumbnail(picture: bytes) -> Thumbnail:
    """Of a file or a data URL."""
    content = base64.b64decode(picture.partition(b",")[2]) if picture.startswith(b"data:") else picture
    return np.asarray(Image.open(BytesIO(content)).convert("RGB").resize((16, 16), Image.Resampling.BOX)).astype(int)


@dataclass
class Part:
    """One visitor's part: what he asks for, again and again, and what must come back."""

    asks: list[Ask]
    tally: Tally
    expected: list[bytes] = field(default_factory=list)

    async def rehearse(self) -> None:
        """Asks for everything once, alone."""
        self.expected = [await ask() or b"" for ask in self.asks]
        if not all(self.expected) or len(set(self.expected)) < len(self.expected):
            raise SystemExit("The pictures of the first round are not there, or not all different.")

    async def play(self, end: float, everybodys: Mapping[bytes, Thumbnail]) -> None:
        turn, asked = 0, time.perf_counter()
        while time.perf_counter() < end:
            try:
                answer = await self.asks[turn % len(self.asks)]()
            except (httpx.HTTPError, RefusedError):
                self.tally.errors += 1
                answer = None
            else:
                self.tally.busy += answer is None
            if answer is None:
                await asyncio.sleep(RETRY_GAP)
                continue
            self.tally.waits.append(time.perf_counter() - asked)
            self.tally.judge(answer, self.expected[turn % len(self.asks)], everybodys)
            await asyncio.sleep(FRAME_GAP)
            turn, asked = turn + 1, time.perf_counter()


# --- the visitors ---------------------------------------------------------------------------------------------------


def drawing(number: int, lines: int, side: int = 512) -> bytes:
    """A PNG that nobody else has: the first lines of visitor `number`'s drawing, black on white."""
    random, sheet = Random(number), Image.new("RGB", (side, side), "white")
    pen = ImageDraw.Draw(sheet)
    point = (random.random() * side, random.random() * side)
    for _ in range(lines):
        end = (random.random() * side, random.random() * side)
        pen.line((*point, *end), "black", 4)
        point = end
    buffer = BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def data_url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def strokes(number: int, count: int) -> list[dict[str, Any]]:
    """The first strokes of visitor `number`'s drawing on the canvas, straight lines of eight points."""
    random, drawn = Random(number), []
    x, y = random.randrange(5120), random.randrange(5120)
    for _ in range(count):
        dx, dy = (random.randrange(5120) - x) // 7, (random.randrange(5120) - y) // 7
        drawn.append({"colour": "#000000", "width": 4, "points": [x, y, *[dx, dy] * 7]})
        x, y = x + 7 * dx, y + 7 * dy
    return drawn


def drawing_asks(visitor: Visitor, number: int) -> list[Ask]:
    """A drawing, stroke by stroke, each frame with what is new; the last with the pen up."""
    all_strokes, kept = strokes(number, FRAMES + 1), ""

    def ask(count: int) -> Ask:
        async def send() -> Answer:
            nonlocal kept
            final = count == len(all_strokes)
            if count == 2 and kept:  # the pen comes down again: the page has asked for the drawing of the last photo
                await visitor.draw(visitor.frame([], True, kept, "draw_back"))
            answer: dict[str, Any] = {"unknown": True}
            if count > 2:
                answer = await visitor.draw(visitor.frame(all_strokes[count - 1 : count], final, kept))
            if answer.get("unknown"):
                answer = await visitor.draw(visitor.frame(all_strokes[:count], final))
            if answer.get("error"):
                raise RefusedError(answer["error"])
            kept = answer.get("kept", kept)
            return None if answer.get("busy") else (answer.get("photo") or "").encode()

        return send

    return [ask(lines + 2) for lines in range(FRAMES)]


def uploading_asks(visitor: Visitor, number: int) -> list[Ask]:
    """Whole drawings as files: upload, event through the queue, download of the photo."""

    def ask(name: str, content: bytes) -> Ask:
        async def send() -> Answer:
            outputs = await visitor.translate("sketch_to_photo", await visitor.upload(name, content))
            return await visitor.download(outputs[0])

        return send

    return [ask(f"{number}-{lines}.png", drawing(number, lines + 9, side=400)) for lines in range(UPLOADS)]


# --- the run --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """The figures of one kind of visitor in one run."""

    visitors: str
    pictures: int
    rate: float  # pictures a second
    p50: float  # ms, as are the next three
    p95: float
    p99: float
    longest: float
    busy: int
    errors: int
    swapped: int
    wrong: int
    lost: int

    @classmethod
    def of(cls, visitors: str, tally: Tally, seconds: float) -> Row:
        waits = sorted(tally.waits) or [float("nan")]
        p50, p95, p99, longest = (waits[round(share * (len(waits) - 1))] * 1000 for share in (0.5, 0.95, 0.99, 1))
        return cls(
            visitors=visitors, pictures=len(tally.waits), rate=len(tally.waits) / seconds,
            p50=p50, p95=p95, p99=p99, longest=longest,
            busy=tally.busy, errors=tally.errors, swapped=tally.swapped, wrong=tally.wrong, lost=tally.lost,
        )  # fmt: skip


async def visit(url: str, clients: int, seconds: float, uploading: float = 0.2) -> list[Row]:
    """Sends `clients` visitors for `seconds`, the share `uploading` of them with files."""
    drawers, uploaders = Tally(), Tally()
    with_files = round(clients * uploading)
    async with connect(url) as client:
        parts = []
        for number in range(clients):
            visitor = await Visitor.arrive(client)
            if number < clients - with_files:
                parts.append(Part(drawing_asks(visitor, number), drawers))
            else:
                parts.append(Part(uploading_asks(visitor, number), uploaders))
        for part in parts:
            await part.rehearse()
        everybodys = thumbnails(picture for part in parts for picture in part.expected)
        start = time.perf_counter()
        await asyncio.gather(*(part.play(start + seconds, everybodys) for part in parts))
        took = time.perf_counter() - start
    rows = [Row.of(f"{clients - with_files} drawing", drawers, took)]
    return rows + [Row.of(f"{with_files} uploading", uploaders, took)] * (with_files > 0)


def watched_visit(server: Server, clients: int, seconds: float, uploading: float) -> dict[str, Any]:
    """One run with what it cost the server."""
    server.forget_peak()
    memory, (files, size) = server.memory(), server.files()
    rows = run(visit(server.url, clients, seconds, uploading))
    more_files, more_size = server.files()
    return {
        "clients": clients,
        "rows": [asdict(row) for row in rows],
        "memory": [round(value / MEGA) for value in (memory, server.memory(), server.peak_memory())],
        "files": [more_files - files, (more_size - size) / MEGA],
    }


HEAD = (
    "visitors       pictures  per s   p50 ms   p95 ms   p99 ms   max ms   busy  errors  swapped  wrong  lost"
    "   memory MB: start, end, peak   files, MB"
)
LINE = (
    "{visitors:<14} {pictures:>8} {rate:>6.1f} {p50:>8.0f} {p95:>8.0f} {p99:>8.0f} {longest:>8.0f} {busy:>6}"
    " {errors:>7} {swapped:>8} {wrong:>6} {lost:>5}"
)


def table(run: dict[str, Any]) -> str:
    lines = [LINE.format(**row) for row in run["rows"]]
    start, end, peak = run["memory"]
    number, size = run["files"]
    lines[0] += f"   {start:>16}, {end:>3}, {peak:>4}   {number:>5}, {size:.1f}"
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 10, 50])
    parser.add_argument("--seconds", type=float, default=120, help="of each run; default: %(default)s")
    parser.add_argument("--uploading", type=float, default=0.2, help="share of visitors; default: %(default)s")
    parser.add_argument("--weights", default="weights")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    runs = []
    with running_server(options.weights, compiled=True) as server:
        server.wait_until_compiled()
        tqdm.write(f"page answers after {server.seconds:.1f} s\n{HEAD}")
        for clients in options.clients:
            runs.append(watched_visit(server, clients, options.seconds, options.uploading))
            tqdm.write(table(runs[-1]))
    if options.json:
        options.json.write_text(json.dumps({"start_seconds": server.seconds, "runs": runs}, indent=2) + "\n")


if __name__ == "__main__":
    main()
