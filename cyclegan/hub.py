"""Weights: a local folder first, else the Hugging Face Hub; checked before they are used, and written for others.

A folder of weights is ``config.json`` (`WeightsConfig`) and one file of half-precision tensors a network. Nothing in it
is trusted: sizes are checked before reading, SHA-256 before unpickling, and only tensors are ever unpickled.
"""

import hashlib
import json
import logging
import os
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from cyclegan.config import ConfigError, WeightsConfig, parse
from cyclegan.models import Discriminator, Generator

log = logging.getLogger(__name__)

DEFAULT_FOLDER = "weights"
DEFAULT_REPO = os.environ.get("CYCLEGAN_REPO", "")  # asked when DEFAULT_FOLDER is not there
CONFIG = "config.json"
FILES = {
    "G": "generator_G.pth",
    "F": "generator_F.pth",
    "D_X": "discriminator_D_X.pth",
    "D_Y": "discriminator_D_Y.pth",
}
MAX_CONFIG_BYTES = 1_000_000
MAX_NETWORK_BYTES = 1_000_000_000  # in float32; a config that asks for more is not from here
HUB_ID = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")
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


def load_weights(source: str | Path = DEFAULT_FOLDER, discriminators: bool = False) -> Weights:
    """Load the generators, and the discriminators if asked for, from a folder or a Hub id ``owner/name[@revision]``.

    A folder is looked for first, without any request; the default folder also beside the package, then in the
    repository that the variable CYCLEGAN_REPO names.

    Raises:
        WeightsError: nothing there, or a file is missing, changed, cut short, too large, of wrong shape or not weights.
    """
    names = list(FILES) if discriminators else ["G", "F"]
    folder = _local_folder(source)
    if folder:
        origin = f"{folder.resolve().name}/"
    else:
        repository = DEFAULT_REPO if str(source) == DEFAULT_FOLDER else str(source)
        folder = _download(repository, names, source)
        origin = f"{repository} on the Hugging Face Hub"
    config = read_config(folder / CONFIG)
    return Weights(config, {name: _read_network(folder / FILES[name], name, config) for name in names}, origin)


def read_config(path: Path) -> WeightsConfig:
    """Read and validate a ``config.json``. Raises WeightsError."""
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise WeightsError(f"{path.name} is far too large for a config.")
        return parse(WeightsConfig, json.loads(path.read_bytes()), path.name)
    except OSError as error:
        raise WeightsError(f"{path.name} cannot be read: {error.strerror}. {THREE_WAYS}") from None
    except ConfigError as error:
        raise WeightsError(f"These weights are not for this version. {error}") from None
    except (ValueError, RecursionError):
        raise WeightsError(f"{path.name} is damaged: it is not JSON.") from None


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


def _local_folder(source: str | Path) -> Path | None:
    """The folder that ``source`` names, if it is there; the default one also beside the package."""
    candidates = [Path(source).expanduser()]
    if str(source) == DEFAULT_FOLDER:
        candidates.append(Path(__file__).parents[1] / DEFAULT_FOLDER)
    return next((folder for folder in candidates if (folder / CONFIG).is_file()), None)


def _download(repository: str, names: list[str], source: str | Path) -> Path:
    """Fetch ``config.json`` and the files of ``names`` from the Hub into its cache, or find them there."""
    parts = HUB_ID.fullmatch(repository)
    if Path(source).is_dir() or not parts:
        raise WeightsError(f"There are no weights in “{source}” (no {CONFIG}). {THREE_WAYS}")
    try:
        files = [CONFIG, *(FILES[name] for name in names)]
        return Path(snapshot_download(parts["repo"], revision=parts["revision"], allow_patterns=files))
    except GatedRepoError:
        reason = "asks for permission first: accept its terms on its page and log in (hf auth login)"
    except (RepositoryNotFoundError, HFValidationError):
        reason = "is neither a folder here nor a repository on the Hugging Face Hub that you may read"
    except RevisionNotFoundError:
        reason = f"has no revision {parts['revision']}"
    except Exception as error:  # connection, proxy, disk, rate limit: the client's errors have no common base
        log.debug("download of %s failed", repository, exc_info=True)
        reason = f"could not be fetched from the Hugging Face Hub ({_first_line(error)})"
    raise WeightsError(f"“{repository}” {reason}. {THREE_WAYS}") from None


def _read_network(path: Path, name: str, config: WeightsConfig) -> StateDict:
    """One network's state dict as float32, every step checked before the next."""
    expected = _expected_tensors(name, config)
    content = _read_checked(path, config.sha256.get(path.name), _max_bytes(expected))
    try:
        state = torch.load(BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler of hostile bytes may raise anything
        raise WeightsError(f"{path.name} is not a file of plain tensors: {_first_line(error)}") from None
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
            network: nn.Module = Generator(config.generator) if name in "GF" else Discriminator(config.discriminator)
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
    try:
        unpacked = sum(record.file_size for record in zipfile.ZipFile(BytesIO(content)).infolist())
    except zipfile.BadZipFile:
        raise WeightsError(f"{path.name} is not a weight file that torch.save wrote.") from None
    if unpacked > max_bytes:
        raise WeightsError(f"{path.name} unpacks to more than {CONFIG} implies.")
    return content


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
