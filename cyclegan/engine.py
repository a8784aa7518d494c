"""Networks compiled by OpenVINO, an inference engine for CPUs: without bfloat16, faster than PyTorch by a third.

    python -m tests.bench_inference

The package is optional.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

MAX_DIFFERENCE = 2 / 255
"""Of what a compiled network computes from what it was compiled from, as a share of the range of a picture."""


class EngineError(Exception):
    """OpenVINO cannot compile a network."""


@cache
def _core() -> Any:
    """OpenVINO's runtime, one for the life of the process. Each would give the thread that compiles a stack for signal
    handlers and, when it goes, put back the one that it found: another's, freed before, on which Ctrl-C crashes."""
    import openvino

    return openvino.Core()


def is_installed() -> bool:
    return find_spec("openvino") is not None


def compile_network(network: Callable[..., Tensor], *inputs: Tensor) -> Callable[..., Tensor]:
    """``network``, without gradients, in eval mode and float32 on the CPU, for inputs of the shapes of these; not for
    several threads at once. As many threads compute as in PyTorch. Takes a second or two.

    Raises:
        EngineError: it cannot be compiled.
    """
    # With this package OpenVINO would tell its makers that it was imported, and take seconds where it cannot.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino

        with warnings.catch_warnings():  # of tracing: sizes are constants from now on, as they should be
            warnings.simplefilter("ignore")
            traced = torch.jit.trace(lambda *given: network(*given), inputs, check_trace=False)
            model = openvino.convert_model(traced, example_input=inputs)
        model.reshape({port: list(one.shape) for port, one in zip(model.inputs, inputs, strict=True)})
        options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        compiled = _core().compile_model(model, "CPU", options)
    except Exception as error:  # of many types
        raise EngineError(f"OpenVINO cannot compile this network: {error}") from error

    def compute(*given: Tensor) -> Tensor:
        arrays = [one.contiguous().numpy() for one in given]
        return torch.from_numpy(compiled(arrays, share_inputs=True, share_outputs=False)[0])

    return compute
