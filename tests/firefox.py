"""A Firefox without a window, driven by Marionette, which geckodriver speaks; Playwright drives only its own build."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("firefox", "firefox-esr")
PATIENCE = 60.0  # seconds

Point = tuple[float, float]


def firefox_path() -> str | None:
    """Where Firefox is, None if it is not installed."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Firefox:
    """One tab; https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html"""

    def __init__(self, port: int) -> None:
        self._socket = _connected(port)
        self._number = 0
        self._answer()  # it greets first
        self._ask("WebDriver:NewSession", capabilities={})

    def open(self, url: str) -> None:
        self._ask("WebDriver:Navigate", url=url)

    def run(self, script: str) -> Any:
        """What the body of a JavaScript function returns."""
        return self._ask("WebDriver:ExecuteScript", script=script, args=[])["value"]

    def wait_for(self, expression: str) -> Any:
        """The value of a JavaScript expression, as soon as that is true."""
        end = time.monotonic() + PATIENCE
        while not (value := self.run(f"return {expression}")):
            assert time.monotonic() < end, expression
            time.sleep(0.2)
        return value

    def drag(self, points: list[Point]) -> None:
        """A stroke of the mouse, through pixels of the page."""
        moves = [{"type": "pointerMove", "duration": 50, "x": round(x), "y": round(y)} for x, y in points]
        stroke = [moves[0], {"type": "pointerDown", "button": 0}, *moves[1:], {"type": "pointerUp", "button": 0}]
        mouse = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": stroke}
        self._ask("WebDriver:PerformActions", actions=[mouse])

    def _ask(self, command: str, **parameters: Any) -> Any:
        self._number += 1
        message = json.dumps([0, self._number, command, parameters])
        self._socket.sendall(f"{len(message)}:{message}".encode())
        _, _, error, value = self._answer()
        assert error is None, error
        return value

    def _answer(self) -> Any:
        """JSON after its length in bytes and a colon."""
        length = b""
        while (digit := self._socket.recv(1)) != b":":
            assert digit, "Firefox hung up"
            length += digit
        data = b""
        while len(data) < int(length):
            data += self._socket.recv(int(length) - len(data))
        return json.loads(data)


def _connected(port: int) -> socket.socket:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        except ConnectionRefusedError:
            assert time.monotonic() < end, "Firefox does not start"
            time.sleep(0.2)


@contextmanager
def running_firefox(path: str, **preferences: Any) -> Iterator[Firefox]:
    """A Firefox with a profile of its own; ``preferences``: __ stands for a dot."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    wanted = {"marionette.port": port} | {name.replace("__", "."): value for name, value in preferences.items()}
    with tempfile.TemporaryDirectory(prefix="firefox-", ignore_cleanup_errors=True) as profile:
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in wanted.items()]
        Path(profile, "user.js").write_text("".join(lines), encoding="utf-8")
        command = [path, "--headless", "--marionette", "--no-remote", "--profile", profile]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield Firefox(port)
        finally:
            process.terminate()
            process.wait()
