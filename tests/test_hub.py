"""Weights are read whole and right, or refused in one sentence; hostile files are never run."""

import hashlib
import json
import pickle
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from torch import Tensor

from cyclegan import hub
from cyclegan.hub import FILES, StateDict, Weights, WeightsError, load_weights, save_weights
from tests.conftest import TINY
from tests.hub_server import hub_server

G = FILES["G"]


class Bomb:
    """Unpickled, it would make a file: the proof that something was executed."""

    def __init__(self, proof: Path):
        self.proof = proof

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.proof,)


def saved(thing: object, **options: Any) -> bytes:
    buffer = BytesIO()
    torch.save(thing, buffer, **options)
    return buffer.getvalue()


def put(folder: Path, content: bytes, name: str = G) -> None:
    """Replace a weight file and sign it in config.json: what a hostile repository would do."""
    (folder / name).write_bytes(content)
    config = json.loads((folder / "config.json").read_text())
    config["sha256"][name] = hashlib.sha256(content).hexdigest()
    (folder / "config.json").write_text(json.dumps(config))


def refusal(folder: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        load_weights(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert str(folder) not in message
    return message


# --- a folder -------------------------------------------------------------------------------------------------------


def test_what_was_saved_comes_back_in_half_precision(weights_folder: Path, states: dict[str, StateDict]) -> None:
    weights = load_weights(weights_folder, discriminators=True)
    assert weights.origin == "weights/"
    assert weights.config.model_copy(update={"sha256": {}}) == TINY
    assert list(weights.networks) == ["G", "F", "D_X", "D_Y"]
    for name, state in weights.networks.items():
        assert state.keys() == states[name].keys()
        for key, tensor in state.items():
            assert tensor.dtype == states[name][key].dtype
            torch.testing.assert_close(tensor, states[name][key], rtol=1e-3, atol=1e-6)
    assert sorted(path.name for path in weights_folder.iterdir()) == sorted([*FILES.values(), "config.json"])


def test_files_hold_plain_half_precision_tensors(weights_folder: Path) -> None:
    state = torch.load(weights_folder / G, weights_only=True)
    assert all(type(tensor) is Tensor for tensor in state.values())
    assert {tensor.dtype for tensor in state.values() if tensor.is_floating_point()} == {torch.float16}


def test_saving_twice_gives_the_same_bytes(weights_folder: Path, states: dict[str, StateDict]) -> None:
    before = {path.name: path.read_bytes() for path in weights_folder.iterdir()}
    save_weights(weights_folder, states, TINY)
    assert before == {path.name: path.read_bytes() for path in weights_folder.iterdir()}


def test_generators_alone_are_enough_to_translate(weights_folder: Path) -> None:
    for name in ("D_X", "D_Y"):
        (weights_folder / FILES[name]).unlink()
    assert list(load_weights(weights_folder).networks) == ["G", "F"]
    with pytest.raises(WeightsError, match=r"discriminator_D_X\.pth cannot be read"):
        load_weights(weights_folder, discriminators=True)


@pytest.mark.parametrize("value", [1e6, float("nan")])
def test_values_beyond_half_precision_are_not_written(
    tmp_path: Path, states: dict[str, StateDict], value: float
) -> None:
    key = "last.0.weight"
    state = {**states["G"], key: torch.full_like(states["G"][key], value)}
    with pytest.raises(WeightsError, match=r"generator_G\.pth was not written"):
        save_weights(tmp_path / "new", {"G": state}, TINY)
    assert not list((tmp_path / "new").iterdir())


def test_a_folder_needs_no_network(weights_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "snapshot_download", lambda *_, **__: pytest.fail("a request"))
    load_weights(weights_folder)


def test_default_folder_is_found_from_anywhere(weights_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(weights_folder.parent)
    assert load_weights().config.image_size == TINY.image_size
    (weights_folder.parent / "elsewhere").mkdir()
    monkeypatch.chdir(weights_folder.parent / "elsewhere")
    monkeypatch.setattr(hub, "__file__", str(weights_folder.parent / "cyclegan" / "hub.py"))
    assert load_weights().origin == "weights/"


@pytest.mark.parametrize("source", ["no such folder", "/nowhere/at/all", "."])
def test_nothing_there_says_the_three_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match=r"There are no weights in .* Three ways to get weights"):
        load_weights(source)


# --- damaged and hostile files --------------------------------------------------------------------------------------


def test_damaged_files(weights_folder: Path) -> None:
    content = (weights_folder / G).read_bytes()
    (weights_folder / G).write_bytes(content[:-1])
    assert refusal(weights_folder).startswith(f"{G} is damaged, cut short or changed")
    (weights_folder / G).write_bytes(content[:500] + bytes([content[500] ^ 1]) + content[501:])
    assert "SHA-256" in refusal(weights_folder)
    (weights_folder / G).unlink()
    assert refusal(weights_folder).startswith(f"{G} cannot be read: No such file")


def test_a_pickle_is_refused_and_not_run(weights_folder: Path, tmp_path: Path) -> None:
    proof = tmp_path / "executed"
    pickle.loads(pickle.dumps(Bomb(proof)))
    assert proof.exists()
    proof.unlink()
    put(weights_folder, pickle.dumps(Bomb(proof)))
    assert refusal(weights_folder) == f"{G} is not a weight file that torch.save wrote."
    put(weights_folder, saved({"last.0.weight": Bomb(proof)}))
    assert refusal(weights_folder).startswith(f"{G} is not a file of plain tensors")
    assert not proof.exists()


def test_a_file_larger_than_the_config_implies_is_not_read(
    weights_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (weights_folder / G).open("r+b") as file:
        file.truncate(10**12)  # sparse: takes no disk
    monkeypatch.setattr(
        Path, "read_bytes", lambda path: pytest.fail(path.name) if path.name == G else path.open("rb").read()
    )
    assert "more than config.json implies" in refusal(weights_folder)


def test_a_file_that_unpacks_to_more_is_not_unpacked(weights_folder: Path) -> None:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(50_000_000))
    put(weights_folder, buffer.getvalue())
    assert refusal(weights_folder) == f"{G} unpacks to more than config.json implies."


@pytest.mark.filterwarnings("ignore:Validating sparse")
def test_wrong_tensors(weights_folder: Path, states: dict[str, StateDict]) -> None:
    state, key = states["G"], "last.0.weight"
    one = torch.ones(1)
    wrong: list[tuple[object, str]] = [
        ([1, 2], "does not hold the tensors"),
        ({key: state[key]}, "does not hold the tensors"),
        ({**state, "extra": one}, "does not hold the tensors"),
        ({**state, key: "text"}, f"{key} is not a plain tensor"),
        ({**state, key: state[key].to_sparse()}, f"{key} is not a plain tensor"),
        ({**state, key: one}, f"{key} is [1], but config.json implies {list(state[key].shape)}"),
        ({**state, key: state[key].long()}, "config.json implies"),
        ({**state, key: state[key] * float("nan")}, f"{key} has values that are not finite"),
    ]
    for content, reason in wrong:
        put(weights_folder, saved(content))
        message = refusal(weights_folder)
        assert message.startswith(G), message
        assert reason in message
    put(weights_folder, saved(state))
    load_weights(weights_folder)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"surprise": 1}, "config.json: surprise: Extra inputs are not permitted"),
        ({"image_size": -5}, "config.json: image_size: Input should be greater than"),
        ({"sha256": {}}, f"{G} has no SHA-256 in config.json"),
        ({"generator": {"widths": [60000, 60000], "decoder_blocks": [0]}}, "a network of more than 1 GB"),
        ({"generator": {"widths": [10**12, 10**12], "decoder_blocks": [0]}}, "a network of more than 1 GB"),
    ],
)
def test_wrong_configs(weights_folder: Path, change: dict[str, Any], reason: str) -> None:
    path = weights_folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert reason in refusal(weights_folder)


def test_configs_that_are_no_configs(weights_folder: Path) -> None:
    for content in ("", "{", "\0", "[" * 100_000):
        (weights_folder / "config.json").write_text(content)
        assert refusal(weights_folder) == "config.json is damaged: it is not JSON."
    (weights_folder / "config.json").write_text("[]")
    assert "not for this version" in refusal(weights_folder)
    (weights_folder / "config.json").write_text(" " * 2_000_000)
    assert "far too large" in refusal(weights_folder)


# --- the Hub --------------------------------------------------------------------------------------------------------


@pytest.fixture
def fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Weights]:
    """fetch(source, endpoint): load_weights with the real client, an empty cache and that Hub."""

    def load(source: str, endpoint: str) -> Weights:
        def download(repository: str, **options: Any) -> str:
            return huggingface_hub.snapshot_download(
                repository, endpoint=endpoint, cache_dir=tmp_path / "cache", token=False, **options
            )

        monkeypatch.setattr(hub, "snapshot_download", download)
        return load_weights(source)

    monkeypatch.chdir(tmp_path)
    return load


def test_hub_weights_are_the_folders(
    weights_folder: Path, fetch: Callable[[str, str], Weights], tmp_path: Path
) -> None:
    local = load_weights(weights_folder)
    with hub_server(weights_folder) as (endpoint, asked):
        remote = fetch("shoes/model@v1", endpoint)
    assert remote.origin == "shoes/model@v1 on the Hugging Face Hub"
    assert remote.config == local.config
    for name, state in local.networks.items():
        assert all(torch.equal(state[key], remote.networks[name][key]) for key in state)
    assert "/api/models/shoes/model/revision/v1" in asked
    assert not any("discriminator" in path for path in asked)
    offline = fetch("shoes/model@v1", "http://127.0.0.1:9")  # nobody listens there: from the cache
    assert offline.config == local.config


def test_hub_failures_are_one_sentence_and_the_three_ways(
    weights_folder: Path, fetch: Callable[[str, str], Weights]
) -> None:
    with hub_server(weights_folder) as (endpoint, _), pytest.raises(WeightsError) as caught:
        fetch("shoes/none", endpoint)
    assert "“shoes/none” is neither a folder here nor a repository" in str(caught.value)
    with pytest.raises(WeightsError, match=r"could not be fetched .* Three ways to get weights"):
        fetch("shoes/model", "http://127.0.0.1:9")


def test_hub_weights_are_checked_like_others(weights_folder: Path, fetch: Callable[[str, str], Weights]) -> None:
    put(weights_folder, pickle.dumps([1]))
    with hub_server(weights_folder) as (endpoint, _), pytest.raises(WeightsError, match="not a weight file"):
        fetch("shoes/model", endpoint)


def test_default_repository_is_asked_when_the_default_folder_is_missing(
    weights_folder: Path, fetch: Callable[[str, str], Weights], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "__file__", "/nowhere/cyclegan/hub.py")
    monkeypatch.setattr(hub, "DEFAULT_REPO", "shoes/model")
    monkeypatch.chdir(weights_folder)
    with hub_server(weights_folder) as (endpoint, _):
        assert fetch("weights", endpoint).origin.startswith("shoes/model")
