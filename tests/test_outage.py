"""What the user reads when the network or the Hub fails, and that the cache comes out of it whole."""

import threading
import time
from pathlib import Path

import pytest
from huggingface_hub import constants

from cyclegan.hub import load_weights
from cyclegan.weights import FILES, THREE_WAYS
from tests.hub_server import Hub, UseHub
from tests.test_hub import needed, refusal, same

pytest_plugins = ["tests.hub_fixtures"]

NOBODY = "http://127.0.0.1:9"  # no one listens there


def test_no_network_and_a_cache(shoes: Hub, use_hub: UseHub, monkeypatch: pytest.MonkeyPatch) -> None:
    good = load_weights("shoes/model")
    use_hub(NOBODY)
    assert same(load_weights("shoes/model"), good)
    use_hub(shoes.url)
    shoes.error = 500
    assert same(load_weights("shoes/model"), good)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert same(load_weights("shoes/model"), good)


def test_no_network_and_no_cache(hub: Hub, use_hub: UseHub) -> None:
    use_hub(NOBODY)
    message = refusal()
    assert message.startswith("“shoes/model” could not be fetched from the Hugging Face Hub (")
    assert message.endswith(THREE_WAYS)


def test_offline_mode_asks_nobody(shoes: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert refusal().startswith("“shoes/model” has no whole copy in the cache, and HF_HUB_OFFLINE forbids")
    assert shoes.requests == []


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (500, "could not be fetched: the Hugging Face Hub is in trouble (500); try again later"),
        (503, "the Hugging Face Hub is in trouble (503)"),
        (429, "has to wait: the Hugging Face Hub has had too many requests from here (429)"),
        (403, "is closed to you: the Hugging Face Hub refuses your token (403)"),
        (401, "the Hugging Face Hub refuses your token (401)"),
        (404, "could not be fetched from the Hugging Face Hub ("),
    ],
)
def test_a_hub_in_trouble(hub: Hub, status: int, reason: str) -> None:
    hub.error = status
    message = refusal()
    assert reason in message
    assert message.endswith(THREE_WAYS)


def test_missing_private_and_gated(shoes: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal("shoes/none").startswith("“shoes/none” is neither a folder here nor a repository")
    assert refusal("shoes/model@v9").startswith("“shoes/model@v9” has no such revision")
    assert refusal("../model").startswith("“../model” is neither a folder here nor a repository")
    repository = shoes.add("shoes/bare", {"README.md": b"nothing here"})
    assert refusal("shoes/bare").startswith("“shoes/bare” has no config.json, so it does not hold weights")
    repository = shoes.repositories["shoes/model"]
    repository.private = True
    assert "a private one needs a log-in (hf auth login, or HF_TOKEN)" in refusal()
    repository.private, repository.gated = False, True
    assert refusal().startswith("“shoes/model” asks for permission first: accept its terms on its page and log in")
    monkeypatch.setenv("HF_TOKEN", shoes.token)
    load_weights("shoes/model")


def test_a_cut_connection_is_taken_up_where_it_broke(
    shoes: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1024)  # 10 MB; what is short of one is lost with its cut
    shoes.cut = 4096  # every connection, so each file comes in several pieces
    good = load_weights("shoes/model")
    assert same(good, load_weights(tmp_path / "local"))
    assert shoes.count("GET", "/cdn/") > 2
    assert shoes.sent < needed(tmp_path / "local") + 2000  # nothing came twice


def test_a_cut_connection_is_begun_again(shoes: Hub, tmp_path: Path) -> None:
    shoes.cut = 8192

    def mend() -> None:
        shoes.cut = None

    shoes.drip = mend  # after the first 4 KB
    assert same(load_weights("shoes/model"), load_weights(tmp_path / "local"))
    assert shoes.count("GET", "/cdn/") == 3


def test_half_a_download_does_not_poison_the_cache(shoes: Hub, tmp_path: Path) -> None:
    shoes.cut = 0  # the second file never comes
    assert refusal().startswith("“shoes/model” could not be fetched from the Hugging Face Hub (")
    assert not list((tmp_path / "cache").glob(f"**/snapshots/*/{FILES['G']}"))
    assert not list((tmp_path / "cache").glob("**/*.incomplete"))
    shoes.cut = None
    assert same(load_weights("shoes/model"), load_weights(tmp_path / "local"))


def test_a_slow_drip_arrives_and_a_standstill_is_taken_up(
    shoes: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.5)
    shoes.drip = lambda: time.sleep(0.02)
    good = load_weights("shoes/model")
    assert same(good, load_weights(tmp_path / "local"))
    shoes.requests.clear()
    stalled = threading.Event()

    def stand_still_once() -> None:
        if not stalled.is_set():
            stalled.set()
            time.sleep(2)

    shoes.drip = stand_still_once
    assert same(load_weights("shoes/model", discriminators=True), load_weights(tmp_path / "local", True))
    assert stalled.is_set()
