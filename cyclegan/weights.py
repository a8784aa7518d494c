"""What a folder of weights is: ``config.json`` (`WeightsConfig`) and one file of half-precision tensors a network.

Nothing in it is trusted: sizes are checked before reading, SHA-256 before parsing, and only plain tensors are taken.
A network's file is ``.safetensors`` where there is one, else ``.pth``, read with ``weights_only=True`` alone.
"""

import hashlib
import json
import zipfile
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from cyclegan.config import (
    MARGIN,
    MAX_DETAIL_SIDE,
    ConfigError,
    DiscriminatorConfig,
    GeneratorConfig,
    WeightsConfig,
    parse,
)
from cyclegan.models import Discriminator, Generator, SubpixelEnhancer

CONFIG = "config.json"
FILES = {
    "G": "generator_G.pth",
    "F": "generator_F.pth",
    "D_X": "discriminator_D_X.pth",
    "D_Y": "discriminator_D_Y.pth",
}
MAX_CONFIG_BYTES = 1_000_000
MAX_NETWORK_BYTES = 1_000_000_000  # in float32; a config that asks for more is not from here
MAX_ACTIVATION_BYTES = 4_000_000_000  # of a forward pass of one picture in float32
THREE_WAYS = (
    "Three ways to get weights: fetch the project's own folder weights/ again; name a Hugging Face Hub repository "
    "(--weights owner/name); train your own (make train)."
)

StateDict = dict[str, Tensor]


class WeightsError(RuntimeError):
    """Weights that are not there or not to be trusted; the message says which file, what is wrong, what to do."""


@dataclass(frozen=True)
class Weights:
    """Networks by name ("G", "F" and, if asked for, "D_X", "D_Y"): float32 state dicts on the CPU."""

    config: WeightsConfig
    networks: dict[str, StateDict]
    origin: str
    """Where they came from, for people; never a path beyond the folder's name."""
    folder: Path | None = None
    """Where their files are: model card, scores and pictures may lie beside them."""


def read_weights(folder: Path, names: Iterable[str], origin: str) -> Weights:
    """Read and check the config and the networks of ``names``. Raises WeightsError."""
    config = read_config(folder / CONFIG)
    there = {path.name for path in folder.iterdir()}
    networks = {name: _read_network(folder / file_of(name, there), name, config) for name in names}
    return Weights(config, networks, origin, folder)


def file_of(name: str, there: Container[str]) -> str:
    """The file of the network ``name`` in a folder or repository whose files are ``there``."""
    safe = FILES[name].replace(".pth", ".safetensors")
    return safe if safe in there else FILES[name]


def max_file_bytes(name: str, config: WeightsConfig) -> int:
    """Upper bound of the file of the network ``name`` in float32: numbers, alignment, names. Raises WeightsError."""
    return _max_bytes(_expected_tensors(name, config))


def read_config(path: Path) -> WeightsConfig:
    """Read and validate a ``config.json``. Raises WeightsError."""
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise WeightsError(f"{path.name} is far too large for a config.")
        config = parse(WeightsConfig, json.loads(path.read_bytes()), path.name)
    except OSError as error:
        raise WeightsError(f"{path.name} cannot be read: {error.strerror}. {THREE_WAYS}") from None
    except ConfigError as error:
        raise WeightsError(f"These weights are not for this version. {error}") from None
    except (ValueError, RecursionError):
        raise WeightsError(f"{path.name} is damaged: it is not JSON.") from None
    if (needed := activation_bytes(config)) > MAX_ACTIVATION_BYTES:
        raise WeightsError(
            f"{path.name} describes networks that take up to {needed / 1e9:.1f} GB for one picture; "
            f"{MAX_ACTIVATION_BYTES / 1e9:.0f} GB are allowed."
        )
    return config


def activation_bytes(config: WeightsConfig) -> int:
    """Upper bound of the tensors that a forward pass of one picture holds at once in float32, without the parameters.

    Of G, F and the discriminators the largest, from the config alone; the bound is up to three times too large. What
    PyTorch's kernels need for themselves comes on top (a few per cent of it, measured on a CPU).
    """
    generator, side = config.generator, config.image_size
    drawn_side = max(side, MAX_DETAIL_SIDE + 2 * MARGIN) if generator.detail else side
    values = (
        _generator_values(generator.of("G"), config.photo_side),
        _generator_values(generator.of("F"), drawn_side),
        _discriminator_values(config.discriminator, side),
    )
    return 4 * round(max(values))


def _generator_values(config: GeneratorConfig, side: int) -> float:
    """Numbers in the feature maps that are alive together in `Generator.forward`, at its widest."""
    stride = 2 ** (len(config.channels) + config.coarse_to_fine + config.super_resolution)
    cells = -(-side // stride)  # of the bottleneck's side
    inputs = 3 + config.condition_channels
    noisy = inputs + config.noise_input
    before = 0.25 if config.super_resolution else 1.0  # area of what it starts from, as all here relative to the image
    area = before * (0.25 if config.coarse_to_fine else 1.0)  # of the U-Net's input
    maps = [noisy, *config.channels]
    skips = [area * channels / 4**level for level, channels in enumerate(maps)]
    # A residual block holds its input, two convolutions, their sum and a padded copy.
    padded = (1 + 2 / cells) ** 2
    alive = [sum(skips) + max(*skips[1:], skips[-1] * (4 + padded))]
    for level in reversed(range(len(config.channels))):
        upsampled = area * maps[level + 1] / 4**level
        convolved = area * (maps[level] if level else config.top_channels) / 4**level
        joined = upsampled + skips[level]
        results = 4 if level and config.decoder_blocks[level - 1] else 2
        alive.append(sum(skips[: level + 1]) + upsampled / 4 + joined + max(upsampled, results * convolved))
    top = config.top_channels
    if config.coarse_to_fine:
        alive.append(area * (top + 3) + before * (top + (top + noisy) + 3 * top))
    if config.super_resolution:
        joined = top + 4 * noisy
        alive.append(noisy + before * (top + 3 + 4 * noisy + joined + 3 * SubpixelEnhancer.WIDTH) + 2 * 3)
    # Throughout: the image, joined with its condition, padded and with noise; at the end the output, four times.
    around = 3 * inputs + noisy + config.noise_input + 4 * 3
    return (around + max(alive)) * (cells * stride) ** 2


def _discriminator_values(config: DiscriminatorConfig, side: int) -> float:
    """The same of `Discriminator.features`, which keeps every map; twice the widest is for its normalisation."""
    maps = [channels / 4**level for level, channels in enumerate(config.channels, start=1)]
    maps.append(2 * maps[-1])
    return (2 * 3 + sum(maps) + 2 * max(maps)) * side**2


def save_weights(folder: Path, networks: Mapping[str, Mapping[str, Tensor]], config: WeightsConfig) -> WeightsConfig:
    """Write one half-precision file for each of ``networks`` ("G", "F", "D_X", "D_Y") and a ``config.json`` with their
    SHA-256. Each file appears whole or not at all, the config last; returns it.

    Raises:
        WeightsError: a value is not finite, or not in half precision (above 65504).
    """
    folder.mkdir(parents=True, exist_ok=True)
    contents = {FILES[name]: _to_bytes(FILES[name], state) for name, state in networks.items()}
    config = config.model_copy(update={"sha256": {name: _sha256(content) for name, content in contents.items()}})
    contents[CONFIG] = (config.model_dump_json(indent=2) + "\n").encode()
    for name, content in contents.items():
        (folder / f"{name}.part").write_bytes(content)
    for name in contents:
        (folder / f"{name}.part").replace(folder / name)
    return config


def _to_bytes(name: str, state: Mapping[str, Tensor]) -> bytes:
    halves = {key: (t.half() if t.is_floating_point() else t).detach().cpu().clone() for key, t in state.items()}
    if not all(tensor.isfinite().all() for tensor in halves.values()):
        raise WeightsError(f"{name} was not written: it has values that are not finite in half precision.")
    buffer = BytesIO()
    torch.save(halves, buffer)
    return buffer.getvalue()


def _read_network(path: Path, name: str, config: WeightsConfig) -> StateDict:
    """One network's state dict as float32, every step checked before the next."""
    expected = _expected_tensors(name, config)
    content = _read_checked(path, config.sha256.get(path.name), _max_bytes(expected))
    try:
        if path.suffix == ".safetensors":
            state = safetensors.torch.load(content)
        else:
            state = torch.load(BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler of hostile bytes may raise anything
        raise WeightsError(f"{path.name} is not a file of plain tensors: {first_line(error)}") from None
    if not isinstance(state, dict) or state.keys() != expected.keys():
        raise WeightsError(f"{path.name} does not hold the tensors of the network that {CONFIG} describes.")
    for key, like in expected.items():
        tensor = state[key]
        if not isinstance(tensor, Tensor) or tensor.layout != torch.strided or tensor.is_quantized:
            raise WeightsError(f"{path.name}: {key} is not a plain tensor.")
        if tensor.shape != like.shape or tensor.is_floating_point() != like.is_floating_point():
            raise WeightsError(f"{path.name}: {key} is {list(tensor.shape)}, but {CONFIG} implies {list(like.shape)}.")
        if not tensor.isfinite().all():
            raise WeightsError(f"{path.name}: {key} has values that are not finite.")
    return {key: state[key].detach().to(like.dtype).contiguous() for key, like in expected.items()}


def _expected_tensors(name: str, config: WeightsConfig) -> StateDict:
    """The network's state dict on the meta device: names, shapes and dtypes without memory."""
    try:
        with torch.device("meta"), _NoInitialisation():
            network: nn.Module = (
                Generator(config.generator.of(name)) if name in "GF" else Discriminator(config.discriminator)
            )
        expected = network.state_dict()
        size = sum(tensor.numel() * tensor.element_size() for tensor in expected.values())
    except (RuntimeError, TypeError, OverflowError):  # sizes beyond 64 bits
        size = MAX_NETWORK_BYTES + 1
    if size > MAX_NETWORK_BYTES:
        raise WeightsError(f"{CONFIG} describes a network of more than {MAX_NETWORK_BYTES // 10**9} GB.")
    return expected


class _NoInitialisation(TorchFunctionMode):
    """Leaves out `torch.nn.init`: on the meta device it computes nothing, yet costs two seconds of imports."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if getattr(function, "__module__", "") == "torch.nn.init":
            return kwargs["tensor"] if kwargs else args[0]
        return function(*args, **(kwargs or {}))


def _max_bytes(expected: StateDict) -> int:
    """Upper bound of a file with these tensors in float32: numbers, alignment, names."""
    return sum(tensor.numel() * tensor.element_size() + 1024 for tensor in expected.values()) + 65536


def _read_checked(path: Path, sha256: str | None, max_bytes: int) -> bytes:
    """The bytes of a weight file: of plausible size, packed and unpacked, and with the right SHA-256."""
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise WeightsError(f"{path.name} has {size} bytes, more than {CONFIG} implies ({max_bytes} at most).")
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path.name} cannot be read: {error.strerror}. {THREE_WAYS}") from None
    if sha256 is None:
        raise WeightsError(f"{path.name} has no SHA-256 in {CONFIG}, so it cannot be checked.")
    if _sha256(content) != sha256:
        raise WeightsError(f"{path.name} is damaged, cut short or changed: its SHA-256 is not the one in {CONFIG}.")
    if path.suffix == ".safetensors":
        return content
    try:
        unpacked = sum(record.file_size for record in zipfile.ZipFile(BytesIO(content)).infolist())
    except zipfile.BadZipFile:
        raise WeightsError(f"{path.name} is not a weight file that torch.save wrote.") from None
    if unpacked > max_bytes:
        raise WeightsError(f"{path.name} unpacks to more than {CONFIG} implies.")
    return content


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def first_line(error: BaseException) -> str:
    """What an error of another library says, short enough for one sentence of ours."""
    lines = str(error).strip().splitlines()
    return lines[0][:200].rstrip(".") if lines else type(error).__name__
