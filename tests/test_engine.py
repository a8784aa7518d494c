"""Networks compiled by OpenVINO, and how a translator comes to them."""

import logging
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cyclegan import engine
from cyclegan.demo import menu
from cyclegan.engine import EngineError, compile_network
from cyclegan.generators import NAMES, Generators, Network
from cyclegan.inference import Translator
from cyclegan.models import fold_batch_norms
from cyclegan.weights import StateDict, Weights
from tests.conftest import TINY, make_networks
from tests.server import ROOT

Make = Callable[..., Image.Image]


needs_openvino = pytest.mark.skipif(not engine.is_installed(), reason="OpenVINO is for x86 processors")


@pytest.fixture
def weights(states: dict[str, StateDict]) -> Weights:
    return Weights(TINY, {name: states[name] for name in "GF"}, "tests/")


@pytest.fixture
def translator(weights: Weights) -> Translator:
    return Translator(weights, "cpu", torch.float32)


def race_to(monkeypatch: pytest.MonkeyPatch, before: float, after: float) -> list[Sequence[Network]]:
    """Lets the networks take so many seconds; the pairs that raced."""
    raced = []

    def race(_: Generators, networks: Sequence[Network], inputs: object) -> list[float]:
        raced.append(networks)
        return [before, after]

    monkeypatch.setattr(Generators, "_race", race)
    return raced


def refuse(*_: object) -> Any:
    raise EngineError("OpenVINO cannot compile this network: no such layer")


@needs_openvino
def test_a_compiled_network_computes_the_same_and_tells_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *_, **__: asked.append(host))
    network = fold_batch_norms(make_networks()["G"].eval().requires_grad_(False))
    random = torch.Generator().manual_seed(1)
    inputs = [torch.rand(1, 3, 64, 64, generator=random) * 2 - 1 for _ in range(2)]
    compiled = compile_network(network, *inputs)
    others = [one.flip(-1).contiguous(memory_format=torch.channels_last) for one in inputs]
    for given in (inputs, others):
        torch.testing.assert_close(compiled(*given), network(*given), rtol=0, atol=1e-4)
    assert asked == []


@needs_openvino
def test_ctrl_c_is_handled_when_compiled_networks_have_gone() -> None:
    """In the order in which they came; with a runtime of its own each, the process crashed."""
    code = (
        "import gc, signal, torch\n"
        "from cyclegan.engine import compile_network\n"
        "image = torch.zeros(1, 3, 8, 8)\n"
        "compiled = [compile_network(torch.sin, image) for _ in range(2)]\n"
        "while compiled:\n"
        "    compiled.pop(0)(image)\n"
        "    gc.collect()\n"
        "signal.signal(signal.SIGINT, lambda *_: print('handled'))\n"
        "signal.raise_signal(signal.SIGINT)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


@needs_openvino
def test_what_it_cannot_compile_is_one_error() -> None:
    with pytest.raises(EngineError, match="OpenVINO cannot compile this network: "):
        compile_network(lambda image: image.numpy(), torch.zeros(1, 3, 64, 64))


@needs_openvino
def test_a_translator_takes_what_is_faster(translator: Translator, make_drawing: Make, monkeypatch) -> None:
    before = [translator.sketch_to_photo(make_drawing()), translator.photo_to_sketch(make_drawing())]
    raced = race_to(monkeypatch, before=2, after=1)
    translator.compile()
    assert set(translator.generators._compiled.values()) == {compiled for _, compiled in raced}
    monkeypatch.setattr(translator.generators, "_networks", dict.fromkeys(NAMES))
    after = [translator.sketch_to_photo(make_drawing()), translator.photo_to_sketch(make_drawing())]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(np.asarray(one, int), np.asarray(other, int), rtol=0, atol=1)


def test_what_is_slower_or_another_picture_is_left(translator: Translator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "is_installed", lambda: True)
    monkeypatch.setattr(engine, "compile_network", lambda network, *_: lambda *given: network(*given) + 0.001)
    raced = race_to(monkeypatch, before=1, after=1)
    translator.compile()
    assert len(raced) == 2
    assert not translator.generators._compiled
    race_to(monkeypatch, before=2, after=1)
    translator.compile()
    assert len(translator.generators._compiled) == 2
    translator.generators._compiled.clear()
    monkeypatch.setattr(engine, "compile_network", lambda network, *_: lambda *given: network(*given) + 0.02)
    translator.compile()
    assert not translator.generators._compiled


def test_the_time_of_a_compiled_photo_tells_whether_it_follows_the_pen(
    weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = TINY.generator.model_copy(update={"super_resolution": True})
    large = TINY.model_copy(update={"generator": generator})
    networks = make_networks(large)
    translator = Translator(Weights(large, {n: networks[n].state_dict() for n in "GF"}, "tests/"), "cpu", torch.float32)
    monkeypatch.setattr(engine, "is_installed", lambda: True)
    monkeypatch.setattr(engine, "compile_network", lambda network, *_: lambda *given: network(*given))
    for after, follows in ((0.2, False), (0.01, True)):
        race_to(monkeypatch, before=2, after=after)
        translator.compile()
        assert translator.follows_pen is follows
        translator.generators._compiled.clear()


def test_pytorch_goes_on_without_it(
    weights: Weights, translator: Translator, make_drawing: Make, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    before = translator.sketch_to_photo(make_drawing())
    monkeypatch.setattr(engine, "compile_network", refuse)
    monkeypatch.setattr(engine, "is_installed", lambda: False)
    translator.compile()
    monkeypatch.setattr(engine, "is_installed", lambda: True)
    Translator(weights, "cpu", torch.bfloat16).compile()
    with caplog.at_level(logging.WARNING):
        translator.compile()
    assert [one.message for one in caplog.records] == [
        "translating without OpenVINO: OpenVINO cannot compile this network: no such layer"
    ]
    assert translator.sketch_to_photo(make_drawing()).tobytes() == before.tobytes()


def test_the_page_compiles_its_models_once_they_are_loaded(
    translator: Translator, weights_folder: Path, monkeypatch
) -> None:
    timers: list[tuple[float, Callable[[], None]]] = []

    class Timer:
        daemon = False

        def __init__(self, seconds: float, function: Callable[[], None]) -> None:
            timers.append((seconds, function))

        def start(self) -> None:
            assert self.daemon

    monkeypatch.setattr(menu.threading, "Timer", Timer)
    menu.Menu.of(translator).get()
    menu.Menu.named([str(weights_folder)]).get()
    assert timers == []
    models = menu.Menu.named([str(weights_folder)], compiled=True)
    for _ in range(2):
        made = models.get().translator
    assert timers == [(menu.COMPILE_AFTER, made.compile)]
