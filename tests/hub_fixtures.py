"""A Hub on loopback for the real client of this process, which begins with an empty cache and without a token."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import constants, file_download

from tests.hub_server import Hub, UseHub, hub_server


@pytest.fixture
def use_hub(monkeypatch: pytest.MonkeyPatch) -> UseHub:
    """use_hub(url): what HF_ENDPOINT does at start."""

    def use(url: str) -> None:
        monkeypatch.setattr(constants, "ENDPOINT", url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")

    return use


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use_hub: UseHub) -> Iterator[Hub]:
    """An empty Hub; the test runs in `tmp_path`, with the cache in its folder cache."""
    monkeypatch.chdir(tmp_path)
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # this Hub speaks plain LFS only
    monkeypatch.setattr(file_download, "time", SimpleNamespace(sleep=lambda _: None))  # between two attempts
    with hub_server() as server:
        use_hub(server.url)
        yield server


@pytest.fixture
def shoes(hub: Hub, weights_folder: Path) -> Hub:
    """That Hub with the tiny weights as shoes/model, tagged v1; the folder itself is out of the way, as local."""
    hub.add("shoes/model", {path.name: path.read_bytes() for path in weights_folder.iterdir()}, "v1")
    weights_folder.rename(weights_folder.with_name("local"))
    return hub
