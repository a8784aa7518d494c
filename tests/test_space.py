"""This repository as a Hugging Face Space: the head of README.md, and the app as a Space starts it."""

import os
import re
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from cyclegan import generators
from cyclegan.hub import DEFAULT_REPO
from cyclegan.inference import Translator
from cyclegan.publishing.upload import space_upload

ROOT = Path(__file__).parents[1]
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
START_SECONDS = 300  # on a machine that has much else to do


@pytest.fixture
def head() -> dict[str, Any]:
    """The front matter of README.md."""
    fence, front, text = re.split(r"^---\n", (ROOT / "README.md").read_text(encoding="utf-8"), maxsplit=2, flags=re.M)
    assert fence == ""
    assert text.strip()
    return yaml.safe_load(front)


def test_versions_are_those_of_the_requirements(head: dict[str, Any]) -> None:
    requirements = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert head["sdk"] == "gradio"
    assert f"gradio=={head['sdk_version']}" in requirements
    assert head["sdk_version"] == metadata.version("gradio")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    oldest = project["requires-python"].removeprefix(">=")
    assert isinstance(head["python_version"], str), "without quotes 3.10 is 3.1"
    assert [int(n) for n in head["python_version"].split(".")] >= [int(n) for n in oldest.split(".")]


def test_the_head_is_one_that_the_hub_takes(head: dict[str, Any]) -> None:
    assert head["title"]
    assert head["emoji"]
    assert not re.search(r"\w", head["emoji"])
    assert {head["colorFrom"], head["colorTo"]} <= COLOURS
    assert (ROOT / head["app_file"]).is_file()
    assert head["license"] == "mit"
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT")
    assert 0 < len(head["short_description"]) <= 60
    assert head["thumbnail"].startswith("https://") or (ROOT / head["thumbnail"]).is_file()
    for key in ("models", "preload_from_hub"):
        assert head.get(key, []) == ([DEFAULT_REPO] if DEFAULT_REPO else [])


def test_the_app_starts_as_on_a_space(weights_folder: Path, tmp_path: Path) -> None:
    """From the uploaded files alone, on all interfaces, with a home where nothing can be written."""
    for name, content in space_upload("shoes/demo", weights_folder).files.items():
        (tmp_path / "app" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "app" / name).write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    (tmp_path / "tmp").mkdir()
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))
        port = probe.getsockname()[1]
    environment = {
        "PATH": os.environ["PATH"],
        "SPACE_ID": "shoes/demo",  # without SYSTEM=spaces: then Gradio wants a package that only Spaces have
        "GRADIO_SERVER_NAME": "0.0.0.0",
        "GRADIO_SERVER_PORT": str(port),
        "HOME": "/proc",  # nobody writes there, not even root
        "TMPDIR": str(tmp_path / "tmp"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    log = tmp_path / "log"
    with log.open("w") as output:
        app = subprocess.Popen(
            [sys.executable, "app.py"], cwd=tmp_path / "app", env=environment, stdout=output, stderr=output
        )
    try:
        config = answer(f"http://127.0.0.1:{port}/config", app)
    finally:
        app.terminate()
        app.wait()
    assert "weights/ (" in config, log.read_text()
    assert "No weights are loaded" not in config
    assert "Traceback" not in log.read_text()


def answer(url: str, app: subprocess.Popen[bytes]) -> str:
    """What is at `url`, as soon as the app is there."""
    end = time.monotonic() + START_SECONDS
    while app.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=60) as response:
                return response.read().decode()
        except OSError:
            time.sleep(0.2)
    return "the app did not start"


def test_threads_follow_the_quota_and_not_the_host(weights_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    monkeypatch.setattr(generators, "usable_cpus", lambda: 2)
    Translator.from_pretrained(weights_folder, device="cpu")
    assert asked == [2]
