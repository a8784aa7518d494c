"""Uploads to the Hugging Face Hub: weights with a model card that is written here, and this demo as a Space.

Both begin with a list of files, which ``--dry-run`` shows, and end as one commit.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi, ModelCard
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from PIL import Image

from cyclegan.hub import DEFAULT_FOLDER, HubId, download, explain, load_weights, resolve
from cyclegan.images import fit_square, grid, open_image, to_rgb
from cyclegan.inference import Translator
from cyclegan.publishing.card import Scores, model_card, read_scores
from cyclegan.weights import CONFIG, WeightsError, file_of

log = logging.getLogger(__name__)

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
EVALUATION = "evaluation.json"
SAMPLES = "samples.png"
SPACE_PATTERNS = (
    "LICENSE",
    "app.py",
    "requirements.txt",
    "cyclegan/**/*.py",
    "cyclegan/demo/web/*",
    "examples/**/*",
)
MAX_PLAIN_BYTES = 10_000_000  # the Hub takes larger files as LFS only
LFS_SUFFIXES = (".pth", ".safetensors")  # LFS in every new repository of the Hub
SAMPLE_ROWS = 4

Files = dict[str, Path | bytes]
"""Path in the repository → where its content is, or the content, as for README.md."""


class PublishError(RuntimeError):
    """What is to be uploaded is not fit for it, or the Hub refuses; one clear sentence."""


@dataclass(frozen=True)
class Upload:
    """What is to become a repository, before anything is sent."""

    repository: str
    kind: Literal["model", "space"]
    readme: str
    """README.md: the model card, or this project's with the Space's own head."""
    others: Files
    variables: dict[str, str] = field(default_factory=dict)
    """Of the Space's environment."""

    @property
    def files(self) -> Files:
        return {"README.md": self.readme.encode(), **self.others}

    def listing(self) -> str:
        """One line a file with its size, and the sum."""
        sizes = {name: _size(content) for name, content in self.files.items()}
        lines = [f"{size / 1e6:8.2f} MB  {name}" for name, size in sizes.items()]
        return "\n".join([*lines, f"{sum(sizes.values()) / 1e6:8.2f} MB  in {len(sizes)} files"])


def model_upload(repository: str, source: str | Path = DEFAULT_FOLDER, datasets: Sequence[str] = ()) -> Upload:
    """What `publish` uploads: the weights, checked as if a stranger had made them, a grid of samples and a model card.

    The discriminators go along where there are any; scores come from evaluation.json beside the weights.

    Raises:
        WeightsError, PublishError
    """
    _check_id(repository)
    folder = resolve(source)
    if isinstance(folder, HubId):
        raise PublishError(f"There is no folder “{source}” here; publish uploads a local one.")
    there = {path.name for path in folder.iterdir()}
    discriminators = all(file_of(name, there) in there for name in ("D_X", "D_Y"))
    weights = load_weights(folder, discriminators)
    files: Files = {CONFIG: folder / CONFIG}
    files |= {file_of(name, there): folder / file_of(name, there) for name in weights.networks}
    if EVALUATION in there:
        files[EVALUATION] = folder / EVALUATION
    samples = _samples(Translator(weights))
    if samples:
        files[SAMPLES] = samples
    notes = (folder / "README.md").read_text(encoding="utf-8") if "README.md" in there else ""
    card = model_card(repository, weights.config, datasets, _scores(folder), SAMPLES if samples else "", notes)
    return Upload(repository, "model", str(card), files)


def space_upload(space: str, source: str | Path = DEFAULT_FOLDER) -> Upload:
    """What `deploy-space` uploads: the app, its examples and the two generators.

    Weights named by their Hub id stay there: the Space fetches them while it is built.

    Raises:
        WeightsError, PublishError
    """
    _check_id(space)
    files: Files = {
        path.relative_to(ROOT).as_posix(): path
        for pattern in SPACE_PATTERNS
        for path in sorted(ROOT.glob(pattern))
        if path.is_file()
    }
    try:
        card = ModelCard((ROOT / "README.md").read_text(encoding="utf-8"), ignore_metadata_errors=True)
    except OSError:
        raise PublishError("README.md, whose head tells the Hub how to run this Space, is missing.") from None
    head: Any = card.data
    thumbnail = head.get("thumbnail")
    if thumbnail and not re.match("https?:", thumbnail):  # a path in this repository; the Hub wants an address
        files[thumbnail] = ROOT / thumbnail
        head["thumbnail"] = f"https://huggingface.co/spaces/{space}/resolve/main/{thumbnail}"
    variables = {}
    place = resolve(source)
    if isinstance(place, Path):
        there = {path.name for path in place.iterdir()}
        load_weights(place)
        for name in (CONFIG, file_of("G", there), file_of("F", there)):
            files[f"weights/{name}"] = place / name
    else:
        variables["CYCLEGAN_REPO"] = str(place)
        head["models"] = [place.repository]
        if place.revision is None:
            head["preload_from_hub"] = [place.repository]
    return Upload(space, "space", str(card), files, variables)


def send(upload: Upload, private: bool = False) -> str:
    """Create the repository if need be and make it hold these files and no others, in one commit; returns its URL.

    Raises:
        PublishError: the Hub refuses, or does not answer.
    """
    files, name, kind = upload.files, upload.repository, upload.kind
    for file, content in files.items():
        if _size(content) > MAX_PLAIN_BYTES and not file.endswith(LFS_SUFFIXES):
            raise PublishError(
                f"{file} is larger than {MAX_PLAIN_BYTES // 10**6} MB, too large for the Hub without LFS."
            )
    api = HfApi()
    try:
        sdk = "gradio" if kind == "space" else None
        url = api.create_repo(name, repo_type=kind, private=private or None, exist_ok=True, space_sdk=sdk)
        for key, value in upload.variables.items():
            api.add_space_variable(name, key, value)
        info = api.space_info(name) if kind == "space" else api.model_info(name)
        there = {file.rfilename for file in info.siblings or []}
        changes: list[CommitOperationAdd | CommitOperationCopy | CommitOperationDelete] = [
            *(CommitOperationAdd(file, content) for file, content in files.items()),
            *(CommitOperationDelete(file) for file in sorted(there - files.keys() - {".gitattributes"})),
        ]
        message = "Update the demo" if kind == "space" else "Publish weights"
        api.create_commit(name, changes, repo_type=kind, commit_message=message)
    except Exception as error:  # the client's errors have no common base
        log.debug("upload of %s failed", name, exc_info=True)
        reason = explain(error).replace("fetched from", "uploaded to").replace("fetched", "uploaded")
        raise PublishError(f"“{name}” {reason}.") from None
    return str(url)


def read_back(repository: str, source: str | Path = DEFAULT_FOLDER) -> None:
    """Fetch what `send` has just published, check it, and so renew this machine's own copy. Raises WeightsError."""
    download(HubId(repository), ["G", "F"], again=True)
    if load_weights(repository).config != load_weights(source).config:
        raise WeightsError(f"“{repository}” does not hold the weights that were published; try again.")


def _scores(folder: Path) -> Scores | None:
    try:
        return read_scores((folder / EVALUATION).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        raise PublishError(f"{EVALUATION} is not what python -m cyclegan evaluate writes.") from None


def _samples(translator: Translator) -> bytes | None:
    """A grid of both directions as PNG, from the examples in this repository; None where there are none."""
    size = translator.config.image_size
    sketches = _pictures(EXAMPLES / "sketches", "*.png", size)
    photos = _pictures(EXAMPLES / "photos", "*.jpg", size)
    rows = [
        [sketch, translator.sketch_to_photo(sketch), photo, translator.photo_to_sketch(photo)]
        for sketch, photo in zip(sketches, photos, strict=False)
    ]
    if not rows:
        return None
    buffer = BytesIO()
    grid(rows, ["drawn", "its photo", "photo", "its drawing"]).save(buffer, "PNG")
    return buffer.getvalue()


def _pictures(folder: Path, pattern: str, size: int) -> list[Image.Image]:
    return [fit_square(to_rgb(open_image(path)), size) for path in sorted(folder.glob(pattern))[:SAMPLE_ROWS]]


def _check_id(repository: str) -> None:
    try:
        validate_repo_id(repository)
    except HFValidationError:
        repository = ""
    if "/" not in repository:
        raise PublishError("The Hub wants a name like owner/name, of letters, digits, -, _ and dots.")


def _size(content: Path | bytes) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size
