"""Headers of image files: what tells their size, and whether they can be used. Read once, and kept in a file."""

from __future__ import annotations

import json
import logging
import os
import time
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from cyclegan import images
from cyclegan.training.pack import Pack

log = logging.getLogger(__name__)

AT_A_TIME = 200
"""Files that a thread takes: a header takes less time than a thread's turn."""

Headers = dict[Path, "Header"]


class Header(NamedTuple):
    """What is known of a file as long as its size and date stay."""

    bytes: int
    modified: int
    width: int = 0
    height: int = 0
    problem: str = ""
    """Why it cannot be used; empty if it can."""


class Index:
    """Headers of files, kept in a file, so that they are read once."""

    def __init__(self, path: Path | None = None):
        self.path, self.headers, self.changed = path, dict[str, Header](), False
        if path and path.exists():
            try:
                known = json.loads(path.read_text(encoding="utf-8"))
                self.headers = {name: Header(*header) for name, header in known.items()}
            except (OSError, ValueError, TypeError, AttributeError):
                log.debug("%s is damaged and made anew.", path)

    def of(self, paths: Iterable[Path]) -> Headers:
        """The header of each file, in the same order."""
        return self._read({os.fspath(path): _status(path) for path in paths})

    def in_folder(self, folder: Path) -> Headers:
        """The header of each file below ``folder`` that is not hidden, sorted."""
        return self._read(dict(_files(os.fspath(folder), {os.path.realpath(folder)})))

    def _read(self, found: dict[str, Header]) -> Headers:
        """What is known or, of new files, in them. Names are strings: a hundred thousand paths take a second."""
        new = []
        for name, status in found.items():
            known = self.headers.get(name)
            if known and known[:2] == status[:2]:
                found[name] = known
            elif not status.problem:
                new.append(name)

        def read(names: list[str]) -> dict[str, Header]:
            return {name: _read_header(name, found[name]) for name in names}

        parts = [new[n : n + AT_A_TIME] for n in range(0, len(new), AT_A_TIME)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            begun, busy = time.perf_counter(), time.thread_time()
            for part in parts[:1]:
                found |= read(part)
            # Where the disk is fast, threads wait for each other: six take twice the time of one.
            waits = time.thread_time() - busy < 0.5 * (time.perf_counter() - begun)
            with ThreadPoolExecutor(None if waits else 1) as threads:
                for headers in threads.map(read, parts[1:]):
                    found |= headers
        self.headers |= {name: found[name] for name in new}
        self.changed |= bool(new)
        return dict(zip(_paths(found), found.values(), strict=True))

    def has_folder(self, folder: Path) -> bool:
        return folder.is_dir()

    def save(self) -> None:
        if self.path and self.changed:
            temporary = self.path.with_suffix(".tmp")
            temporary.write_text(json.dumps(self.headers), encoding="utf-8")
            temporary.replace(self.path)


class PackedIndex(Index):
    """Headers of the pictures in a pack, and of files beside it."""

    def __init__(self, pack: Pack, path: Path | None = None):
        super().__init__(path)
        self.pack = pack

    def has_folder(self, folder: Path) -> bool:
        return self.pack.has_folder(folder) if folder in self.pack else super().has_folder(folder)

    def in_folder(self, folder: Path) -> Headers:
        if folder not in self.pack:
            return super().in_folder(folder)
        return {path: Header(0, 0, width, height) for path, width, height in self.pack.pictures(folder)}


def _files(folder: str, above: set[str]) -> Iterator[tuple[str, Header]]:
    """Files below ``folder`` that are not hidden, sorted; links are followed, but never in a circle.

    ``above``: the real paths of folders that links led to.
    """
    try:
        with os.scandir(folder) as entries:
            shown = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        log.warning("%s cannot be read: %s.", folder, error.strerror)
        return
    for entry in shown:
        if not _is_folder(entry):
            yield entry.path, _status(entry)
            continue
        if entry.is_symlink():
            real = os.path.realpath(entry.path)
            if real in above:
                continue
            above.add(real)
        yield from _files(entry.path, above)


def _paths(names: Iterable[str]) -> Iterator[Path]:
    """Below the path of their folder, which is taken apart once: that takes half the time."""
    folders: dict[str, Path] = {}
    for name in names:
        folder, file = os.path.split(name)
        if folder not in folders:
            folders[folder] = Path(folder)
        yield folders[folder] / file


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _status(file: Path | os.DirEntry[str]) -> Header:
    """Size and date, or why they cannot be told."""
    try:
        status = file.stat()
    except OSError as error:
        return Header(0, 0, problem=f"“{file.name}” cannot be read: {error.strerror}.")
    return Header(status.st_size, status.st_mtime_ns)


def _read_header(name: str, header: Header) -> Header:
    """``header`` with the image's size, or what is wrong with it. Pixels are decoded in doubt only."""
    try:
        with Image.open(name, formats=images.FORMATS) as image:
            width, height = image.size
            large = width * height > images.MAX_PIXELS
            if large and image.format == "JPEG" and not image.info.get("progressive"):
                image.draft(None, (width // 8, height // 8))  # as large as it has to be decoded, at least
            decoded = image.width * image.height
        short, long = sorted((width, height))
        small = decoded <= images.MAX_PIXELS and header.bytes <= images.MAX_FILE_BYTES
        if small and short >= images.MIN_SIDE and long <= images.MAX_ASPECT * short:
            return header._replace(width=width, height=height)
    except Exception as error:  # damaged bytes may raise anything at all
        log.debug("%s: %r", name, error)
    try:
        width, height = images.open_image(name).size
        return header._replace(width=width, height=height)
    except images.ImageError as error:
        return header._replace(problem=str(error))
