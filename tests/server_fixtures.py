"""`python app.py` with tiny weights as a fixture, and with a witness of every host that it speaks to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cyclegan.weights import StateDict, save_weights
from tests.conftest import TINY
from tests.server import Server, running_server

# Python runs a module of this name at its start, before any other.
WITNESS = """
import os, sys

def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo"):
        place = arguments[0] if event == "socket.getaddrinfo" else arguments[1]
        with open(os.environ["HOSTS"], "a") as log:
            log.write(f"{place[0] if isinstance(place, tuple) else place}\\n")

sys.addaudithook(watch)
"""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, states: dict[str, StateDict]) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served")
    save_weights(folder / "weights", states, TINY)
    (folder / "sitecustomize.py").write_text(WITNESS)
    hosts = folder / "hosts"
    watched = {"PYTHONPATH": str(folder), "HOSTS": str(hosts)}
    with running_server(str(folder / "weights"), environment=watched) as server:
        yield server
        assert set(hosts.read_text().split()) <= {"127.0.0.1", "localhost", "None"}
        assert "DecompressionBomb" not in server.log.read_text()
