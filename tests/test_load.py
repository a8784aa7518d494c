"""Visitors side by side get their own pictures, all of them, and leave nothing on the server."""

from __future__ import annotations

from PIL import Image

from tests.load import HEAD, Tally, table, thumbnails, watched_visit
from tests.pictures import encoded
from tests.server import Server

pytest_plugins = ["tests.server_fixtures"]


def png(colour: str, side: int) -> bytes:
    return encoded(Image.new("RGB", (side, side), colour)).getvalue()


def test_everybody_gets_his_own_pictures(server: Server) -> None:
    run = watched_visit(server, clients=4, seconds=3, uploading=0.25)
    drawing, uploading = run["rows"]
    assert drawing["visitors"] == "3 drawing"
    assert uploading["visitors"] == "1 uploading"
    for row in run["rows"]:
        assert row["pictures"] > 0
        assert row["p50"] <= row["p95"] <= row["p99"] <= row["longest"]
        assert [row[fault] for fault in ("errors", "swapped", "wrong", "lost")] == [0, 0, 0, 0]
    first, second = table(run).split("\n")
    assert first.split()[:3] == ["3", "drawing", str(drawing["pictures"])]
    assert second.split()[:3] == ["1", "uploading", str(uploading["pictures"])]
    assert first.split()[10:13] == second.split()[10:13] == ["0", "0", "0"]  # swapped, wrong, lost
    assert len(second) == HEAD.index("lost") + len("lost")  # each number ends under its heading


def test_a_picture_of_another_visitor_is_noticed() -> None:
    mine, hers, odd = (png(colour, 128) for colour in ("red", "blue", "green"))
    everybodys = thumbnails((mine, hers))
    for answer, faults in {
        mine: (0, 0, 0),
        png("red", 64): (0, 0, 0),  # its preview
        hers: (1, 0, 0),
        png("blue", 64): (1, 0, 0),
        odd: (0, 1, 0),
        b"no picture": (0, 1, 0),
        b"": (0, 0, 1),
    }.items():
        tally = Tally()
        tally.judge(answer, mine, everybodys)
        assert (tally.swapped, tally.wrong, tally.lost) == faults
