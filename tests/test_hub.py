"""Weights from a folder, the cache or the Hub, in that order: the real client, and a server on loopback."""

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from cyclegan import hub as module
from cyclegan.hub import HubId, load_weights, resolve
from cyclegan.weights import FILES, StateDict, Weights, WeightsError
from tests.conftest import TINY
from tests.hub_server import Files, Hub
from tests.test_weights import put, saved

pytest_plugins = ["tests.hub_fixtures"]


def same(one: Weights, other: Weights) -> bool:
    return one.config == other.config and all(
        torch.equal(state[key], other.networks[name][key]) for name, state in one.networks.items() for key in state
    )


def needed(folder: Path) -> int:
    """Bytes of what it takes to translate."""
    return sum((folder / name).stat().st_size for name in ("config.json", FILES["G"], FILES["F"]))


def refusal(source: str = "shoes/model") -> str:
    with pytest.raises(WeightsError) as caught:
        load_weights(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- which place ----------------------------------------------------------------------------------------------------


def test_a_folder_needs_no_request(shoes: Hub, tmp_path: Path) -> None:
    (tmp_path / "local").rename(tmp_path / "shoes")
    (tmp_path / "shoes").rename(tmp_path / "model")
    (tmp_path / "shoes").mkdir()
    (tmp_path / "model").rename(tmp_path / "shoes" / "model")  # a folder that is named like the repository
    assert load_weights("shoes/model").origin == "model/"
    assert shoes.requests == []


def test_default_folder_is_found_from_anywhere(weights_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(weights_folder.parent)
    assert load_weights().config.image_size == TINY.image_size
    (weights_folder.parent / "elsewhere").mkdir()
    monkeypatch.chdir(weights_folder.parent / "elsewhere")
    monkeypatch.setattr(module, "__file__", str(weights_folder.parent / "cyclegan" / "hub.py"))
    assert load_weights().origin == "weights/"


@pytest.mark.parametrize("source", ["no such folder", "/nowhere/at/all", ".", "weights"])
def test_nothing_there_says_the_three_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "__file__", str(tmp_path / "cyclegan" / "hub.py"))
    monkeypatch.setattr(module, "DEFAULT_REPO", "")
    with pytest.raises(WeightsError, match=r"There are no weights in .* Three ways to get weights"):
        load_weights(source)


def test_hub_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "__file__", str(tmp_path / "cyclegan" / "hub.py"))
    monkeypatch.setattr(module, "DEFAULT_REPO", "shoes/default")
    assert resolve("shoes/model") == HubId("shoes/model")
    assert resolve("shoes/model@refs/pr/1") == HubId("shoes/model", "refs/pr/1")
    assert resolve("weights") == HubId("shoes/default")
    for wrong in ("shoes", "a/b/c", "shoes/model@", "shoes/model@v 1", "https://shoes/model", ""):
        with pytest.raises(WeightsError):
            resolve(wrong)


def test_the_variables_of_the_client_hold(shoes: Hub, tmp_path: Path) -> None:
    """HF_ENDPOINT, HF_TOKEN, HF_HOME and CYCLEGAN_REPO, in a process of its own."""
    shoes.repositories["shoes/model"].private = True
    root = Path(__file__).parents[1]
    program = (
        f"from cyclegan import hub; hub.__file__ = {str(tmp_path / 'x' / 'y')!r}; print(hub.load_weights().origin)"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(root),
        "HF_ENDPOINT": shoes.url,
        "HF_TOKEN": shoes.token,
        "HF_HOME": str(tmp_path / "home"),
        "CYCLEGAN_REPO": "shoes/model@v1",
    }
    environment.pop("HF_HUB_CACHE", None)
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "shoes/model@v1 on the Hugging Face Hub"
    assert f"Bearer {shoes.token}" in shoes.tokens[shoes.url]
    assert shoes.tokens[shoes.cdn] == {""}  # another host: the token is not for it
    assert (tmp_path / "home" / "hub" / "models--shoes--model" / "refs" / "v1").is_file()


# --- cache and network ----------------------------------------------------------------------------------------------


def test_first_start_fetches_what_is_needed_and_the_second_nothing(shoes: Hub, tmp_path: Path) -> None:
    local = load_weights(tmp_path / "local")
    remote = load_weights("shoes/model")
    assert remote.origin == "shoes/model on the Hugging Face Hub"
    assert same(remote, local)
    assert shoes.count("GET", "/cdn/") == 2  # the generators
    assert needed(tmp_path / "local") < shoes.sent < needed(tmp_path / "local") + 2000
    shoes.requests.clear()
    assert same(load_weights("shoes/model"), local)
    assert shoes.requests == []
    load_weights("shoes/model", discriminators=True)
    assert shoes.count("GET", "/cdn/") == 2  # the discriminators, on top


def test_a_pinned_revision_stays(shoes: Hub, weights_folder: Path, states: dict[str, StateDict]) -> None:
    repository = shoes.repositories["shoes/model"]
    first = repository.refs["main"]
    files = dict(repository.files)
    put_into(files, FILES["G"], saved({key: -tensor for key, tensor in states["G"].items()}))
    shoes.add("shoes/model", files)
    old, new = load_weights("shoes/model@v1"), load_weights("shoes/model")
    assert not same(old, new)
    assert same(load_weights(f"shoes/model@{first}"), old)


def put_into(files: Files, name: str, content: bytes) -> None:
    """What `put` does, in a repository."""
    folder = Path("spoilt")
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_bytes(files["config.json"])
    put(folder, content, name)
    files |= {path.name: path.read_bytes() for path in folder.iterdir()}


def test_safetensors_are_preferred_and_the_others_not_fetched(shoes: Hub, states: dict[str, StateDict]) -> None:
    files = dict(shoes.repositories["shoes/model"].files)
    put_into(files, "generator_G.safetensors", safetensors.torch.save(states["G"]))
    shoes.add("shoes/model", files)
    load_weights("shoes/model")
    assert shoes.count("GET", "generator_G.safetensors") + shoes.count("HEAD", "generator_G.safetensors") == 1
    assert not any("generator_G.pth" in request for request in shoes.requests)
    shoes.requests.clear()
    load_weights("shoes/model")
    assert shoes.requests == []


def test_sizes_are_known_before_anything_is_fetched(shoes: Hub) -> None:
    files = dict(shoes.repositories["shoes/model"].files)
    shoes.add("shoes/model", files | {FILES["F"]: bytes(2_000_000)})
    assert re.fullmatch(
        r"“shoes/model”: generator_F\.pth has 2000000 bytes, \d+ at most are right; it was not fetched\.", refusal()
    )
    assert shoes.count("GET", "/cdn/") == 0
    shoes.add("shoes/model", files | {"config.json": bytes(2_000_000)})
    sent = shoes.sent
    assert "config.json has 2000000 bytes" in refusal("shoes/model@main")
    assert shoes.sent < sent + 2000


def test_weights_from_the_hub_are_checked_like_others(shoes: Hub) -> None:
    files = dict(shoes.repositories["shoes/model"].files)
    put_into(files, FILES["G"], pickle.dumps([1]))
    shoes.add("shoes/model", files)
    assert "not a weight file" in refusal()


def test_a_damaged_cache_heals(shoes: Hub, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = load_weights("shoes/model")
    (blob,) = (tmp_path / "cache").glob(f"**/snapshots/*/{FILES['G']}")
    blob.resolve().write_bytes(b"half")
    assert same(load_weights("shoes/model"), good)
    assert "generator_G.pth is damaged" in caplog.text
    blob.resolve().unlink()  # by someone who makes room
    assert same(load_weights("shoes/model"), good)


def test_wrong_bytes_do_not_poison_the_cache(shoes: Hub) -> None:
    """A file that a broken proxy has changed is refused, and the next start is well again."""
    content = shoes.repositories["shoes/model"].files[FILES["G"]]
    (oid,) = (oid for oid, thing in shoes.objects.items() if thing == content)
    shoes.objects[oid] = bytes(len(content))
    assert "generator_G.pth is damaged, cut short or changed" in refusal()
    shoes.objects[oid] = content
    load_weights("shoes/model")
