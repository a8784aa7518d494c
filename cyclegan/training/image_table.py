"""A dataset of the Hugging Face Hub: images in the rows of Parquet or Arrow files, read by name as a pack's are.

The package ``datasets`` reads them: it maps the rows into memory, and keeps what it made of Parquet in its cache.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

from cyclegan.config import ConfigError
from cyclegan.images import ImageError
from cyclegan.weights import first_line

SAVED = ("dataset_info.json", "dataset_dict.json")
"""What ``save_to_disk`` leaves beside its Arrow files."""
PARQUET = ("*.parquet", "data/*.parquet")
SKETCHES = ("sketch", "conditioning_image", "imageA", "A")
"""Names of a column of sketches, beside one of photos."""
SPLITS = ("test", "validation", "val")
"""Names of what is held out, beside ``train``."""


class ImageTable:
    """The dataset in a folder. ``FOLDER/SPLIT/COLUMN/ROW`` names an image, as if it were a file there."""

    def __init__(self, folder: Path):
        """Raises ConfigError: the package is missing, the dataset cannot be read, or it has no images."""
        self.folder = folder
        splits = _read(folder)
        self.held_out = next((name for name in SPLITS if name in splits and len(splits) > 1), None)
        self.training = next(name for name in ("train", *splits) if name in splits and name != self.held_out)
        columns = [name for name, kind in splits[self.training].features.items() if type(kind).__name__ == "Image"]
        self.sketches = next((name for name in SKETCHES if name in columns and len(columns) > 1), None)
        photos = [name for name in columns if name != self.sketches]
        if len(photos) != 1:
            raise ConfigError(
                f"data.photos: {folder} needs one column of images or two, called photo and sketch; "
                f"it has {', '.join(columns) or 'none'}."
            )
        self.photos = photos[0]
        self._columns = {
            (split, column): splits[split].select_columns([column]).cast_column(column, _encoded())
            for split in (self.training, self.held_out)
            for column in (self.photos, self.sketches)
            if split and column
        }

    def __contains__(self, path: Path) -> bool:
        return path.is_relative_to(self.folder)

    def paths(self, split: str | None, column: str | None) -> list[Path]:
        """The names of a split's images in a column; none if it has no such split or column."""
        if not split or not column:
            return []
        top = self.folder / split / column
        return [top / f"{row:08d}" for row in range(len(self._columns[split, column]))]

    def open(self, path: Path) -> BytesIO:
        """The encoded image ``path``; raises ImageError if there is none."""
        split, column, row = path.relative_to(self.folder).parts
        cell = self._columns[split, column][int(row)][column] or {}
        try:
            file = BytesIO(cell.get("bytes") or Path(cell["path"]).read_bytes())
        except (KeyError, TypeError, OSError):
            raise ImageError(f"Row {int(row)} of {column} in {self.folder} has no image.") from None
        file.name = f"{split}, row {int(row)}"  # which messages say
        return file

    def drawing(self, path: Path, side: int) -> None:
        """A pack's lines; a table has none."""


def is_image_table(folder: Path) -> bool:
    return any((folder / name).is_file() for name in SAVED) or any(
        next(iter(folder.glob(pattern)), None) for pattern in PARQUET
    )


def _encoded() -> Any:
    import datasets

    return datasets.Image(decode=False)


def _read(folder: Path) -> dict[str, Any]:
    """A `datasets.Dataset` for each split."""
    try:
        import datasets
    except ImportError:
        raise ConfigError(
            f"data.photos: {folder} is a Hugging Face dataset, for which a package is missing: pip install datasets."
        ) from None
    datasets.disable_progress_bars()
    saved = any((folder / name).is_file() for name in SAVED)
    try:
        read = datasets.load_from_disk(str(folder)) if saved else datasets.load_dataset(str(folder))
    except Exception as error:  # damaged files raise what pyarrow, fsspec and pandas raise
        raise ConfigError(f"data.photos: the dataset in {folder} cannot be read ({first_line(error)}).") from None
    return dict(read) if isinstance(read, dict) else {"train": read}
