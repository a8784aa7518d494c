"""The models that visitors choose from: loaded when first asked for, few of them in memory."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Any, NamedTuple, Self

from cyclegan.demo.realism import DISCRIMINATORS, Discriminators
from cyclegan.inference import Translator
from cyclegan.weights import WeightsError, file_of

log = logging.getLogger(__name__)

MAX_LOADED = 2  # models in memory; one more while it is being loaded
STAY_SECONDS = 2  # in memory before it makes room: visitors with more models than two take turns, not every other frame
COMPILE_AFTER = 5  # seconds with a model in memory: it takes as many, which a page that is just opened needs more
RETRY_SECONDS = 60  # until a model that failed to load is tried again: the Hub may take long to fail

Loader = Callable[[], Translator]


class Model(NamedTuple):
    translator: Translator
    discriminators: Discriminators | None
    """Not yet loaded; None if none came with the weights."""


class Turns:
    """A lock that is given in the order in which it was asked for: a `threading.Lock` may pass over who waits."""

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._waiting: deque[threading.Event] = deque()  # whose turn it is first

    def __enter__(self) -> None:
        turn = threading.Event()
        with self._changing:
            self._waiting.append(turn)
            if self._waiting[0] is turn:
                turn.set()
        turn.wait()

    def __exit__(self, *_: object) -> None:
        with self._changing:
            self._waiting.popleft()
            if self._waiting:
                self._waiting[0].set()


class Menu:
    """Models by name; safe to call from many threads.

    No two are loaded at once, and whoever asks for one in memory does not wait for another's loading. All who wait for
    a model get it when it is loaded, and it is loaded in its turn. Which one leaves is still used by those who have it.
    """

    def __init__(self, loaders: Mapping[str, Loader]) -> None:
        """``loaders``: at least one, each by the name that visitors see; a loader raises WeightsError."""
        self._loaders = dict(loaders)
        self.names = list(loaders)
        self.default = self.names[0]
        self._loaded: OrderedDict[str, Model] = OrderedDict()  # the least recently used first
        self._since: dict[str, float] = {}  # when each of them came
        self._failed: dict[str, tuple[float, str]] = {}  # when, and the sentence
        self._coming: dict[str, Future[Model]] = {}  # loaded by the first who asked, for all who asked since
        self._turns = Turns()
        self._changing = threading.Lock()

    @classmethod
    def of(cls, translator: Translator) -> Self:
        """A menu of one, which is loaded already."""
        return cls({translator.folder.name if translator.folder else "model": lambda: translator})

    @classmethod
    def named(cls, sources: Iterable[str], compiled: bool = False) -> Self:
        """Folders or Hub ids as they are given at the start; visitors see no more than a folder's name.

        ``compiled``: each is compiled in the background once it is loaded (see `Translator.compile`).
        The default is the first that can be loaded, which is loaded now.
        """
        loaders: dict[str, Loader] = {}
        for source in dict.fromkeys(sources):
            folder = Path(source).expanduser()
            name = folder.resolve().name if folder.is_dir() or folder.is_absolute() else source
            name = next(one for one in chain([name], (f"{name} ({n})" for n in count(2))) if one not in loaders)
            loaders[name] = partial(_load, source, name, compiled)
        menu = cls(loaders)
        for name in menu.names:
            try:
                menu.get(name)
            except WeightsError as error:
                log.error(error)
            else:
                menu.default = name
                break
        return menu

    def get(self, name: Any = None) -> Model:
        """The model of a name, which anyone may have sent; None stands for the default.

        Raises:
            WeightsError: no such name, or the model cannot be loaded; one sentence.
        """
        name = self.default if name is None else name
        if not isinstance(name, str) or name not in self._loaders:
            raise WeightsError(f"There is no such model here; choose one of {', '.join(self.names)}.")
        with self._changing:
            if name in self._loaded:
                self._loaded.move_to_end(name)
                return self._loaded[name]
            first = name not in self._coming
            coming = self._coming.setdefault(name, Future())
        if first:
            try:
                with self._turns:
                    coming.set_result(self._load(name))
            except BaseException as error:
                coming.set_exception(error)
            finally:
                with self._changing:
                    del self._coming[name]
        return coming.result()

    def _load(self, name: str) -> Model:
        since, sentence = self._failed.get(name, (0.0, ""))
        if sentence and time.monotonic() - since < RETRY_SECONDS:
            raise WeightsError(sentence)
        time.sleep(self._seconds_until_room())
        try:
            translator = self._loaders[name]()
        except WeightsError as error:
            self._failed[name] = time.monotonic(), str(error)
            raise
        model = Model(translator, discriminators_of(translator))
        with self._changing:
            if len(self._loaded) == MAX_LOADED:
                leaving = next(one for one in self._loaded if time.monotonic() - self._since[one] >= STAY_SECONDS)
                del self._loaded[leaving]
                log.info("%s left memory", leaving)
            self._loaded[name], self._since[name] = model, time.monotonic()
        return model

    def _seconds_until_room(self) -> float:
        """Until a model has stayed long enough to make room for another."""
        with self._changing:
            if len(self._loaded) < MAX_LOADED:
                return 0.0
            first = min(self._since[name] for name in self._loaded)
        return max(first + STAY_SECONDS - time.monotonic(), 0.0)


def _load(source: str, name: str, compiled: bool) -> Translator:
    try:
        translator = Translator.from_pretrained(source)
    except WeightsError as error:  # a path of the server is nothing for visitors
        raise WeightsError(str(error).replace(source, name)) from None
    if compiled:
        later = threading.Timer(COMPILE_AFTER, translator.compile)
        later.daemon = True
        later.start()
    return translator


def discriminators_of(translator: Translator) -> Discriminators | None:
    """The discriminators that lie beside the translator's networks, not yet loaded; None if there are none."""
    folder = translator.folder
    there = {path.name for path in folder.iterdir()} if folder else set()
    return (
        Discriminators(folder)
        if folder and all(file_of(name, there) in there for name in DISCRIMINATORS.values())
        else None
    )
