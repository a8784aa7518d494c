"""Visitors with bad manners: who flood the server, who leave without waiting, who all come at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from tests.load import Part, Tally, drawing, drawing_asks, strokes, thumbnails
from tests.server import Server
from tests.visitor import RefusedError, Visitor, connect

MEGA = 1_000_000


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
        sheets = [pest.frame(strokes(1, lines % 20 + 2), final=lines % 9 == 8) for lines in range(20)]
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
        neighbour = asyncio.create_task(part.play(float("inf"), thumbnails(part.expected)))
        await asyncio.gather(*(send() for _ in range(at_once)))
        neighbour.cancel()
    assert (tally.errors, tally.swapped, tally.wrong, tally.lost) == (0, 0, 0, 0)
    return Flood(answers, busy, sorted(tally.waits), (server.memory() - memory) / MEGA, server.files()[0] - files)


async def leave(server: Server, times: int) -> None:
    """Visitors who close the page while their picture is made, on the canvas and in the queue."""
    async with connect(server.url) as client:
        visitor = await Visitor.arrive(client)
        frame = visitor.frame(strokes(1, 9))
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


async def many_events(server: Server, count: int) -> list[str]:
    """What so many visitors read who send a picture at the same time."""

    async with connect(server.url) as client:
        visitor = await Visitor.arrive(client)

        async def one(upload: dict[str, Any]) -> str:
            try:
                return await visitor.read("photo_to_sketch", upload)
            except RefusedError as refusal:
                return str(refusal)

        uploads = [await visitor.upload(f"{number}.png", drawing(number, 9)) for number in range(count)]
        return await asyncio.gather(*(one(upload) for upload in uploads))
