"""A packed data set: pictures and their traced lines in a few files that are mapped into memory, read by name.

A folder of safetensors files, chosen because it is mapped, checked as it is opened, executes nothing, and is at hand:
``00000.safetensors`` … hold bytes, ``index.safetensors``, written last, says where in them each picture lies. Pictures
are WebP, or their files as they were; drawings as `cyclegan.drawing.compact` writes them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from cyclegan.config import ConfigError
from cyclegan.drawing.compact import from_bytes, to_bytes
from cyclegan.drawing.inking import Drawing
from cyclegan.images import ImageError

INDEX = "index.safetensors"
FORMAT = "1"
SHARD_BYTES = 256_000_000
"""From which on another file is begun: what packing holds in memory."""


class Packed(NamedTuple):
    """A picture as it goes into a pack."""

    name: str
    """Where it lies below the pack: ``photos/shoes/1.jpg``."""
    picture: bytes
    size: tuple[int, int]
    """Width and height of the original."""
    drawings: dict[int, Drawing]
    """Its lines by the longer side of the picture that they were found in."""


class PackWriter:
    """Writes a pack, as a context manager: left by an error, it takes away what it wrote."""

    def __init__(self, folder: Path, **origin: Any):
        """``origin``: what is said of the pack as a whole.

        Raises:
            ConfigError: something is there already, or the folder cannot be made.
        """
        self.folder, self.origin = folder, {"format": FORMAT} | {key: str(value) for key, value in origin.items()}
        self.rows: list[tuple[bytes, int, int, int, int, int]] = []
        self.shard, self.parts, self.bytes = 0, list[bytes](), 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise ConfigError(f"{folder} is not empty: choose another folder for the pack, or empty this one.")
        except OSError as error:
            raise ConfigError(f"{folder} cannot be made a folder of ({error.strerror}).") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        try:
            if not error:
                self._close()
        except OSError as problem:
            error = OSError
            raise self._unwritten(problem) from None
        finally:
            if error:
                for file in self.folder.iterdir():
                    file.unlink()

    def add(self, packed: Packed) -> None:
        self._add(packed.name, packed.picture, packed.size)
        for side, drawing in packed.drawings.items():
            self._add(_drawing_name(packed.name, side), to_bytes(drawing), drawing.size)

    def _close(self) -> None:
        self._write_shard()
        rows = sorted(self.rows)
        widest = max((len(name) for name, *_ in rows), default=1)
        names = np.array([name for name, *_ in rows], f"S{widest}").view(np.uint8).reshape(len(rows), widest)
        places = np.array([place for _, *place in rows], np.int64).reshape(len(rows), 5)
        # No name but this one is a pack's, so that one that was never finished is none.
        temporary = self.folder / f"{INDEX}.tmp"
        temporary.write_bytes(save({"names": names, "places": places}, self.origin))
        temporary.replace(self.folder / INDEX)

    def _add(self, name: str, data: bytes, size: tuple[int, int]) -> None:
        self.rows.append((os.fsencode(name), self.shard, self.bytes, self.bytes + len(data), *size))
        self.parts.append(data)
        self.bytes += len(data)
        if self.bytes >= SHARD_BYTES:
            try:
                self._write_shard()
            except OSError as problem:
                raise self._unwritten(problem) from None

    def _unwritten(self, problem: OSError) -> ConfigError:
        return ConfigError(f"{self.folder}: the pack cannot be written: {problem.strerror or problem}.")

    def _write_shard(self) -> None:
        if self.parts:
            data = np.frombuffer(b"".join(self.parts), np.uint8)
            # Not by save_file, whose files nobody else may read.
            (self.folder / _shard_name(self.shard)).write_bytes(save({"data": data}))
            self.shard, self.parts, self.bytes = self.shard + 1, [], 0


class Pack:
    """A pack to read from. Paths below its folder name its pictures, as if they lay there."""

    def __init__(self, folder: Path):
        """Opens every file, and reads none but the index.

        Raises:
            ConfigError: a file is missing, damaged or cut short.
        """
        self.folder = folder
        try:
            with safe_open(folder / INDEX, "numpy") as index:
                self.origin: dict[str, str] = index.metadata() or {}
                names, self.places = index.get_tensor("names"), index.get_tensor("places")
            if self.origin.get("format") != FORMAT or names.dtype != np.uint8 or self.places.shape != (len(names), 5):
                raise ValueError("its index is of another kind")
            self.names: NDArray[np.bytes_] = names.reshape(-1).view(f"S{names.shape[1]}")
            shards, ends = self.places[:, 0], self.places[:, 2]
            count = int(shards.max(initial=-1)) + 1
            self._shards = [safe_open(folder / _shard_name(shard), "numpy") for shard in range(count)]
            self._data = [shard.get_slice("data") for shard in self._shards]
            for shard, data in enumerate(self._data):
                if data.get_shape() != [ends[shards == shard].max()]:
                    raise ValueError(f"{_shard_name(shard)} is of another pack")
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise ConfigError(
                f"{folder} is a damaged pack ({error}): make it again with python -m train.pack."
            ) from None

    def __reduce__(self) -> tuple[type[Pack], tuple[Path]]:
        return Pack, (self.folder,)  # another process maps the files for itself

    def __contains__(self, path: Path) -> bool:
        """Whether ``path`` lies below the pack's folder."""
        return path.is_relative_to(self.folder)

    @property
    def size(self) -> int:
        """Pixels of the longer side of its photos, where they had as many."""
        return int(self.origin["size"])

    def pictures(self, folder: Path) -> Iterator[tuple[Path, int, int]]:
        """The pictures below ``folder``, with the originals' width and height; sorted as files are listed."""
        top = os.fsencode(folder.relative_to(self.folder).as_posix()) + b"/"
        first, last = np.searchsorted(self.names, [top, top[:-1] + b"0"])  # "0" comes after "/"
        rows = zip(self.names[first:last].tolist(), self.places[first:last].tolist(), strict=True)
        found = [(os.fsdecode(name).split("/"), place) for name, place in rows if b"\0" not in name]
        root = os.fspath(self.folder)
        for parts, place in sorted(found):
            yield Path(root, *parts), place[3], place[4]

    def has_folder(self, folder: Path) -> bool:
        return next(self.pictures(folder), None) is not None

    def open(self, path: Path) -> BytesIO:
        """The encoded picture ``path``; raises ImageError if there is none."""
        data = self._read(self._name(path))
        if data is None:
            raise ImageError(f"“{path.name}” is not in the pack {self.folder}.")
        file = BytesIO(data)
        file.name = path.name  # which messages say
        return file

    def drawing(self, path: Path, side: int) -> Drawing | None:
        """The lines of picture ``path`` found with ``side`` pixels along its longer side; None if they are not there.

        Raises:
            ImageError: they are damaged.
        """
        data = self._read(_drawing_name(self._name(path), side))
        try:
            return None if data is None else from_bytes(data)
        except ValueError:
            raise ImageError(f"The lines of “{path.name}” in the pack {self.folder} are damaged.") from None

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _read(self, name: str) -> bytes | None:
        wanted = os.fsencode(name)
        row = int(np.searchsorted(self.names, wanted))
        if row == len(self.names) or self.names[row] != wanted:
            return None
        shard, start, end = self.places[row, :3].tolist()
        return self._data[shard][start:end].tobytes()


def is_pack(folder: Path) -> bool:
    return (folder / INDEX).is_file()


def _drawing_name(name: str, side: int) -> str:
    return f"{name}\0{side}"  # which no file is called


def _shard_name(number: int) -> str:
    return f"{number:05d}.safetensors"
