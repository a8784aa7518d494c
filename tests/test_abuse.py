"""Bad input, floods, bad manners, against `python app.py` itself: one clear sentence, little memory, nothing left."""

from __future__ import annotations

import re
import socket
from functools import partial

import pytest

from cyclegan.demo.guard import MAX_EVENTS_WAITING
from tests import abuse
from tests.abuse import Case, attempt, by_payload
from tests.bad_clients import flood, leave, many_events
from tests.server import Server
from tests.visitor import PICTURE, run

pytest_plugins = ["tests.server_fixtures"]

NOWHERE = "http://127.0.0.1:9/a.png"
CASES = abuse.cases(NOWHERE)
MAX_GROWTH = 300  # MB


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input(server: Server, case: Case) -> None:
    logged = server.log.stat().st_size
    outcome = run(attempt(server, case))
    assert re.search(case.answer, outcome.said)
    assert str(server.temporary) not in outcome.said
    assert "site-packages" not in outcome.said
    assert outcome.growth < MAX_GROWTH
    assert "Traceback" not in server.log.read_text(encoding="utf-8")[logged:]


def test_nothing_stays_of_a_refused_upload(server: Server) -> None:
    before = server.files()
    for case in CASES:
        if "MB upload" in case.name or "for the canvas" in case.name or "recording" in case.name:
            run(attempt(server, case))
    assert server.files() == before


def test_addresses_are_not_fetched(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(0)
        payload = {"path": f"http://127.0.0.1:{other.getsockname()[1]}/a.png", "meta": {"_type": "gradio.FileData"}}
        run(attempt(server, Case("address", partial(by_payload, "photo_to_sketch", payload), "")))
        with pytest.raises(BlockingIOError):
            other.accept()


def test_a_flood_of_frames_leaves_room_for_others_and_nothing_behind(server: Server) -> None:
    came = run(flood(server, frames=100, at_once=20))
    assert came.answers + came.busy == 100
    assert came.waits
    assert came.files == 0
    assert came.grown < MAX_GROWTH


def test_visitors_who_leave_hold_nobody_up(server: Server) -> None:
    run(leave(server, 10))
    assert run(many_events(server, 1)) == [PICTURE]
    assert run(flood(server, frames=1, at_once=1)).answers == 1


def test_who_all_come_at_once_get_a_picture_or_read_that_the_queue_is_full(server: Server) -> None:
    said = run(many_events(server, MAX_EVENTS_WAITING + 8))
    assert PICTURE in said
    assert all(one == PICTURE or "ueue is full" in one for one in said)
    assert run(many_events(server, 1)) == [PICTURE]
