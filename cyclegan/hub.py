"""Where weights come from: a local folder first, then the Hugging Face Hub's cache, then the Hub itself.

The Hub's own client does the work, so its variables hold: HF_TOKEN, HF_HOME, HF_HUB_OFFLINE, HF_ENDPOINT.
"""

import logging
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import HfApi, constants, hf_hub_download, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from cyclegan.config import ConfigError
from cyclegan.weights import (
    CONFIG,
    FILES,
    MAX_CONFIG_BYTES,
    THREE_WAYS,
    Weights,
    WeightsError,
    file_of,
    first_line,
    max_file_bytes,
    read_config,
    read_weights,
)

log = logging.getLogger(__name__)

DEFAULT_FOLDER = "weights"
DEFAULT_REPO = os.environ.get("CYCLEGAN_REPO", "")  # asked when DEFAULT_FOLDER is not there
DATASET = re.compile(r"hf:/+datasets/([\w.-]+/[\w.-]+)")
HUB_ID = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")


class HubId(NamedTuple):
    """A repository on the Hub; without a revision (branch, tag or commit) its newest state at the first download."""

    repository: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{self.repository}@{self.revision}" if self.revision else self.repository


def load_weights(source: str | Path = DEFAULT_FOLDER, discriminators: bool = False) -> Weights:
    """Load the generators, and the discriminators if asked for, from wherever `resolve` says.

    A folder needs no request, and neither do weights that were downloaded before: they stay as they are until they
    leave the Hub's cache (``hf cache rm model/owner/name``). A damaged copy in the cache is downloaded again.

    Raises:
        WeightsError: nothing there, or a file is missing, changed, cut short, too large, of wrong shape or not weights.
    """
    names = list(FILES) if discriminators else ["G", "F"]
    place = resolve(source)
    if isinstance(place, Path):
        return read_weights(place, names, f"{place.resolve().name}/")
    origin = f"{place} on the Hugging Face Hub"
    folder = _cached(place, names)
    if folder:
        try:
            return read_weights(folder, names, origin)
        except WeightsError as error:
            log.warning("The copy of %s in the cache is no good, downloading it again: %s", place, error)
    return read_weights(download(place, names, again=folder is not None), names, origin)


def resolve(source: str | Path) -> Path | HubId:
    """The folder that ``source`` names, if it is there, else the Hub id ``owner/name[@revision]`` that it may be.

    DEFAULT_FOLDER is also looked for beside the package; if there is none, it stands for DEFAULT_REPO.

    Raises:
        WeightsError: neither.
    """
    candidates = [Path(source).expanduser()]
    if str(source) == DEFAULT_FOLDER:
        candidates.append(Path(__file__).parents[1] / DEFAULT_FOLDER)
    for folder in candidates:
        if (folder / CONFIG).is_file():
            return folder
    parts = HUB_ID.fullmatch(DEFAULT_REPO if str(source) == DEFAULT_FOLDER else str(source))
    if Path(source).is_dir() or not parts:
        raise WeightsError(f"There are no weights in “{source}” (no {CONFIG}). {THREE_WAYS}")
    return HubId(parts["repository"], parts["revision"])


def download(place: HubId, names: Iterable[str], again: bool = False) -> Path:
    """Fetch ``config.json`` and the files of the networks ``names`` into the Hub's cache, whatever is there.

    Sizes are asked for first: nothing is fetched that is larger than the config implies. Each file appears in the cache
    whole or not at all.

    Raises:
        WeightsError: the one sentence that explains it, and the three ways to get weights.
    """
    try:
        info = HfApi().model_info(
            place.repository, revision=place.revision, files_metadata=True, timeout=constants.HF_HUB_ETAG_TIMEOUT
        )
        sizes = {file.rfilename: file.size for file in info.siblings or [] if file.size is not None}
        _check_size(CONFIG, sizes, MAX_CONFIG_BYTES, place)
        # By its revision, so that the cache knows which commit that is; the rest from the same commit.
        path = Path(hf_hub_download(place.repository, CONFIG, revision=place.revision, force_download=again))
        config = read_config(path)
        files = {file_of(name, sizes): max_file_bytes(name, config) for name in names}
        for file, limit in files.items():
            _check_size(file, sizes, limit, place)
        for file in files:
            hf_hub_download(place.repository, file, revision=path.parent.name, force_download=again)
        return path.parent
    except WeightsError:
        raise
    except Exception as error:  # connection, proxy, disk, rate limit: the client's errors have no common base
        log.debug("download of %s failed", place, exc_info=True)
        raise WeightsError(f"“{place}” {explain(error)}. {THREE_WAYS}") from None


def dataset_id(source: str | Path) -> str | None:
    """``owner/name`` of ``hf://datasets/owner/name``; None of anything else."""
    parts = DATASET.fullmatch(Path(source).as_posix())
    return parts[1] if parts else None


def dataset_folder(name: str) -> Path:
    """The dataset ``owner/name`` of the Hub as a folder in its cache, downloaded as far as it is not there.

    Raises:
        ConfigError: the one sentence that explains why it is not to be had.
    """
    try:
        return Path(snapshot_download(name, repo_type="dataset"))
    except Exception as error:  # as in `download`
        log.debug("download of %s failed", name, exc_info=True)
        raise ConfigError(f"data.photos: the dataset “{name}” {explain(error)}.") from None


def explain(error: Exception) -> str:
    """What an error of the Hub's client means, as the rest of a sentence that begins with the repository's name."""
    if isinstance(error, OfflineModeIsEnabled):
        return "has no whole copy in the cache, and HF_HUB_OFFLINE forbids asking the Hugging Face Hub"
    if isinstance(error, GatedRepoError):
        return "asks for permission first: accept its terms on its page and log in (hf auth login, or HF_TOKEN)"
    if isinstance(error, RevisionNotFoundError):
        return "has no such revision"
    if isinstance(error, RepositoryNotFoundError | HFValidationError):
        return (
            "is neither a folder here nor a repository on the Hugging Face Hub that you may read; "
            "a private one needs a log-in (hf auth login, or HF_TOKEN)"
        )
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else 0
    if status in (401, 403):
        return f"is closed to you: the Hugging Face Hub refuses your token ({status}); renew it with hf auth login"
    if status == 429:
        return "has to wait: the Hugging Face Hub has had too many requests from here (429); try again later"
    if status >= 500:
        return f"could not be fetched: the Hugging Face Hub is in trouble ({status}); try again later"
    return f"could not be fetched from the Hugging Face Hub ({first_line(error)})"


def _cached(place: HubId, names: Iterable[str]) -> Path | None:
    """The folder in the Hub's cache with all files needed, if they were downloaded before; asks nobody."""
    try:
        config = try_to_load_from_cache(place.repository, CONFIG, revision=place.revision)
    except HFValidationError:
        return None
    if not isinstance(config, str):
        return None
    folder = Path(config).parent
    there = {path.name for path in folder.iterdir() if path.is_file()}
    return folder if all(file_of(name, there) in there for name in names) else None


def _check_size(file: str, sizes: dict[str, int], limit: int, place: HubId) -> None:
    if file not in sizes:
        raise WeightsError(f"“{place}” has no {file}, so it does not hold weights for this program. {THREE_WAYS}")
    if sizes[file] > limit:
        raise WeightsError(f"“{place}”: {file} has {sizes[file]} bytes, {limit} at most are right; it was not fetched.")
