"""Weights are read whole and right, or refused in one sentence; hostile files are never run."""

import hashlib
import json
import pickle
import weakref
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from cyclegan.config import DiscriminatorConfig, GeneratorConfig
from cyclegan.hub import load_weights
from cyclegan.models import Discriminator, Generator, fold_batch_norms
from cyclegan.weights import (
    FILES,
    MAX_ACTIVATION_BYTES,
    StateDict,
    WeightsError,
    activation_bytes,
    read_config,
    save_weights,
)
from tests.conftest import TINY

G = FILES["G"]
SAFE_G = "generator_G.safetensors"


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
    """Write a weight file and sign it in config.json: what a hostile repository would do."""
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


def test_safetensors_are_taken_beside_or_instead(weights_folder: Path, states: dict[str, StateDict]) -> None:
    expected = load_weights(weights_folder).networks["G"]
    halves = torch.load(weights_folder / G, weights_only=True)
    put(
        weights_folder, saved({key: -tensor for key, tensor in states["G"].items()})
    )  # so that it shows which of the two is read
    put(weights_folder, safetensors.torch.save(halves), SAFE_G)
    for _ in ("beside", "instead"):
        state = load_weights(weights_folder).networks["G"]
        assert all(torch.equal(state[key], expected[key]) for key in expected)
        (weights_folder / G).unlink(missing_ok=True)


def test_safetensors_are_checked_like_the_others(weights_folder: Path, states: dict[str, StateDict]) -> None:
    state, key = states["G"], "last.0.weight"
    content = safetensors.torch.save(state)
    (weights_folder / SAFE_G).write_bytes(content)
    assert refusal(weights_folder) == f"{SAFE_G} has no SHA-256 in config.json, so it cannot be checked."
    wrong = [
        (content[:-1], "is not a file of plain tensors"),
        (pickle.dumps([1]), "is not a file of plain tensors"),
        ((2**60).to_bytes(8, "little") + b"{}", "is not a file of plain tensors"),
        (bytes(len(content) + 1_000_000), "more than config.json implies"),
        (safetensors.torch.save({key: state[key]}), "does not hold the tensors"),
        (safetensors.torch.save({**state, key: torch.ones(1)}), f"{key} is [1], but config.json implies"),
        (safetensors.torch.save({**state, key: state[key] * float("nan")}), f"{key} has values that are not finite"),
    ]
    for spoilt, reason in wrong:
        put(weights_folder, spoilt, SAFE_G)
        message = refusal(weights_folder)
        assert message.startswith(SAFE_G), message
        assert reason in message


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
        ({"generator": {"channels": [4096, 4096, 4096], "decoder_blocks": [0, 0]}}, "a network of more than 1 GB"),
        (
            {"generator": {"channels": [10**12, 10**12], "decoder_blocks": [0]}},
            "generator.channels.0: Input should be less",
        ),
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


@pytest.mark.parametrize(
    ("change", "size"),
    [
        ({"top_channels": 4096}, 2048),
        ({"top_channels": 4096, "coarse_to_fine": False}, 2048),
        ({"channels": (4096, 8)}, 2048),
        ({"top_channels": 1024}, 1024),
        ({"channels": (350, 8)}, 2048),  # F takes 12 GB
        ({"channels": (1000, 8), "detail": True}, 32),  # and here, on a photo of 1024 px, 10 GB
    ],
)
def test_a_config_that_asks_for_gigabytes_is_refused_before_any_is_taken(
    weights_folder: Path, change: dict[str, object], size: int
) -> None:
    config = json.loads((weights_folder / "config.json").read_text())
    config["generator"] |= change
    config["image_size"] = size
    (weights_folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        WeightsError, match=r"config\.json describes networks that take up to [\d.]+ GB for one picture; 4 GB are"
    ):
        read_config(weights_folder / "config.json")


class PeakMemory(TorchDispatchMode):
    """Bytes of the tensors that are alive at once while it is active, at most."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in self.alive:
                    self.alive[storage._cdata] = storage.nbytes()
                    weakref.finalize(storage, self.alive.pop, storage._cdata, None)
                self.peak = max(self.peak, sum(self.alive.values()))
        return result


WIDE = [
    {},
    {"channels": (350, 8), "decoder_blocks": (0,)},  # upsampled to full resolution in F, which is not coarse-to-fine
    {"channels": (8, 500), "decoder_blocks": (0,)},
    {"channels": (8, 8), "decoder_blocks": (0,), "top_channels": 150},
    {"channels": (8, 8), "decoder_blocks": (2,), "top_channels": 150, "coarse_to_fine": False},
    {"channels": (4, 8, 200), "decoder_blocks": (2, 2), "coarse_to_fine": False},
    {"channels": (8, 8), "decoder_blocks": (0,), "top_channels": 8, "super_resolution": True},
    {"channels": (8, 8), "decoder_blocks": (2,), "top_channels": 150, "super_resolution": True},
    {"channels": (8, 500), "decoder_blocks": (0,), "super_resolution": True, "coarse_to_fine": False},
]


@pytest.mark.parametrize("change", WIDE)
@pytest.mark.parametrize("side", [100, 128])
def test_activations_are_bounded_by_the_config(change: dict[str, Any], side: int) -> None:
    generator = GeneratorConfig(**change)
    config = TINY.model_copy(update={"generator": generator, "image_size": side})
    peaks = []
    for name in "GF":
        network = fold_batch_norms(Generator(generator.of(name)).eval())
        own = config.photo_side if name == "G" else side
        inputs = [torch.zeros(1, channels, own, own) for channels in (3, 3)[: 2 if name == "G" else 1]]
        with torch.no_grad(), PeakMemory() as memory:
            network(*inputs)
        peaks.append(memory.peak + sum(4 * one.numel() for one in inputs))
    assert max(peaks) <= activation_bytes(config) <= 2.5 * max(peaks)


def test_discriminators_count_too() -> None:
    config = TINY.model_copy(update={"discriminator": DiscriminatorConfig(channels=(100, 300)), "image_size": 128})
    network = Discriminator(config.discriminator).eval()
    with torch.no_grad(), PeakMemory() as memory:
        network(torch.zeros(1, 3, 128, 128))
    assert memory.peak <= activation_bytes(config) <= 2.5 * memory.peak


def test_detail_control_counts_as_the_largest_photo() -> None:
    """F then draws photos at their own scale, however small the sheets are."""
    small = TINY.model_copy(update={"image_size": 32})
    detailed = small.model_copy(update={"generator": TINY.generator.model_copy(update={"detail": True})})
    assert activation_bytes(detailed) > 500 * activation_bytes(small)


def test_the_shipped_architecture_is_far_from_the_bound() -> None:
    shipped = TINY.model_copy(update={"generator": GeneratorConfig(detail=True), "image_size": 256})
    assert activation_bytes(shipped) < MAX_ACTIVATION_BYTES / 4
