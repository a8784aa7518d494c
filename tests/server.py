"""`python app.py` as a process of its own, watched from outside: its address, its memory, its temporary files."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from cyclegan import engine
from cyclegan.demo.app import free_port
from cyclegan.devices import fastest_dtype

ROOT = Path(__file__).parents[1]
START_SECONDS = 120
COMPILE_SECONDS = 60


def first_port() -> int:
    """Where this process looks for free ports: tests that run side by side must not find the same one free."""
    return 5600 + 100 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


@dataclass(frozen=True)
class Server:
    url: str
    seconds: float  # from the start of the process until the page answered
    process: subprocess.Popen[bytes]
    temporary: Path  # its folder for temporary files, Gradio's among them
    log: Path

    def memory(self) -> int:
        """Bytes of RAM that the process holds now (Linux)."""
        return self._status("VmRSS")

    def peak_memory(self) -> int:
        """The most that it held since the start, or since `forget_peak` (Linux)."""
        return self._status("VmHWM")

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def wait_until_compiled(self) -> None:
        """Until the model is translated with an inference engine, if it will be (see `Translator.compile`)."""
        if engine.is_installed() and fastest_dtype(torch.device("cpu")) == torch.float32:
            end = time.monotonic() + COMPILE_SECONDS
            while "OpenVINO" not in self.log.read_text() and time.monotonic() < end:
                time.sleep(0.5)

    def files(self) -> tuple[int, int]:
        """(number, bytes) of the temporary files."""
        sizes = [path.stat().st_size for path in self.temporary.rglob("*") if path.is_file()]
        return len(sizes), sum(sizes)

    def _status(self, key: str) -> int:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


@contextmanager
def running_server(
    weights: str, *options: str, environment: Mapping[str, str] = {}, compiled: bool = False
) -> Iterator[Server]:
    """The demo on a free port of this machine, with a folder of its own for temporary files and for its log.

    ``compiled``: with OpenVINO, as it is by default; its pictures may differ by 1/255 from then on.
    """
    port = free_port("127.0.0.1", first_port())
    url, start = f"http://127.0.0.1:{port}", time.perf_counter()
    command = [sys.executable, "app.py", "--port", str(port), "--weights", weights, *options]
    command += [] if compiled else ["--no-openvino"]
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        log, temporary = Path(folder, "log"), Path(folder, "tmp")
        temporary.mkdir()
        places = {"TMPDIR": str(temporary), "GRADIO_TEMP_DIR": str(temporary / "gradio")}
        with log.open("wb") as output:
            variables = {**os.environ, **places, **environment}
            if "OMP_WAIT_POLICY" not in environment:  # training's, if its code was imported here: threads that spin
                variables.pop("OMP_WAIT_POLICY", None)
            process = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=output, stderr=output)
        try:
            while not _answers(url):
                if process.poll() is not None or time.perf_counter() - start > START_SECONDS:
                    raise SystemExit(f"{url} did not answer within {START_SECONDS} seconds:\n{log.read_text()}")
                time.sleep(0.05)
            yield Server(url, time.perf_counter() - start, process, temporary, log)
        finally:
            process.terminate()
            process.wait()


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).read()
    except OSError:
        return False
    return True
