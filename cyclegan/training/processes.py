"""One run in several processes, as ``torchrun`` starts them: each learns from its share of every batch.

All processes keep the same networks, averages, optimizers, pools and random generators, the very ones that a single
process would have: gradients are averaged, batch norm takes its statistics of the whole batch, and what is random is
drawn for the whole batch. So the first process's state is the run's, and another number of processes can go on with it.

What differs from one process, besides rounding: perceptual and texture losses are relative to the photos of each
process's own share.

Gradients are averaged in one call after the backward pass instead of by DistributedDataParallel during it: 10 million
parameters are quickly sent, and the networks stay what they are, without a wrapper around each and its rules.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from cyclegan.config import ConfigError, TrainConfig
from cyclegan.devices import pick_device

T = TypeVar("T")

PATIENCE = timedelta(minutes=10)
"""How long a process waits for another that is silent but there: the first one writes checkpoints and sheets. One that
died is noticed at once."""


class ProcessLostError(RuntimeError):
    """Another process of this run ended or cannot be reached; the message is one sentence."""


@dataclass(frozen=True)
class Processes:
    """The processes of this run and which of them this one is; by default the only one.

    What every process has to call is marked with "all"; those that are alone do nothing.
    """

    count: int = 1
    rank: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this one writes and speaks for all."""
        return self.rank == 0

    def share(self, batch: int) -> slice:
        """Which of the samples 0 … ``batch`` - 1 are this process's."""
        mine = batch // self.count
        return slice(self.rank * mine, (self.rank + 1) * mine)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """All: set the gradients to their mean over the processes, in one message."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if self.count > 1 and gradients:
            together = torch.cat([gradient.flatten() for gradient in gradients])
            self.add_up(together)
            means = (together / self.count).split([gradient.numel() for gradient in gradients])
            for gradient, mean in zip(gradients, means, strict=True):
                gradient.copy_(mean.view_as(gradient))

    def add_up(self, tensor: Tensor) -> Tensor:
        """All: ``tensor``, set to its sum over the processes."""
        if self.count > 1:
            with _lost_processes_named():
                dist.all_reduce(tensor)
        return tensor

    def gather(self, images: Tensor) -> Tensor:
        """All: the whole batch, of which each process has ``images`` (b×C×H×W)."""
        if self.count == 1:
            return images
        parts = [torch.empty_like(images, memory_format=torch.contiguous_format) for _ in range(self.count)]
        with _lost_processes_named():
            dist.all_gather(parts, images.contiguous())
        return torch.cat(parts)

    def gather_objects(self, own: T) -> list[T]:
        """All: what each process has, by rank; anything that can be pickled."""
        if self.count == 1:
            return [own]
        everyone: list[Any] = [None] * self.count
        with _lost_processes_named():
            dist.all_gather_object(everyone, own)
        return everyone

    def any(self, *flags: bool) -> list[bool]:
        """All: for each flag, whether it is set in any of the processes."""
        if self.count == 1:
            return list(flags)
        return self.add_up(torch.tensor(flags, dtype=torch.int32)).bool().tolist()

    def on_main(self, work: Callable[[], T]) -> T:
        """All: what ``work`` returns, done once by the main process. If it raises, the others exit without a word."""
        if self.count == 1:
            return work()
        outcome: list[Any] = [None]
        try:
            if self.is_main:
                outcome = [(work(),)]
        finally:
            with _lost_processes_named():
                dist.broadcast_object_list(outcome)
        if outcome[0] is None:
            raise SystemExit(2)
        return cast(T, outcome[0][0])


ALONE = Processes()


def under_torchrun() -> bool:
    """Whether ``torchrun`` started this process, and ends it when another one has ended."""
    return dist.is_torchelastic_launched()


@contextmanager
def joined() -> Iterator[tuple[Processes, torch.device]]:
    """The processes that ``torchrun`` started, or this one alone, and this one's device."""
    device = pick_device()
    if not under_torchrun():
        yield Processes(), device
        return
    if device.type != "cpu":
        device = torch.device(device.type, int(os.environ.get("LOCAL_RANK", 0)))
        torch.accelerator.set_device_index(device.index)
    with _lost_processes_named():
        dist.init_process_group(timeout=PATIENCE)  # gloo between CPUs, NCCL between GPUs
    try:
        yield Processes(dist.get_world_size(), dist.get_rank()), device
    finally:
        dist.destroy_process_group()


def check_divisible(config: TrainConfig, processes: Processes) -> None:
    """Raises ConfigError if the batch is not the same for each process and each part of a step."""
    parts = processes.count * config.accumulate
    if config.data.batch % parts:
        raise ConfigError(
            f"data.batch is {config.data.batch}, which {processes.count} processes with accumulate = "
            f"{config.accumulate} cannot share evenly: make it a multiple of {parts}."
        )


@contextmanager
def _lost_processes_named() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # gloo's is nothing more specific
        raise ProcessLostError("Another process of this run died, or cannot be reached.") from error


def synchronise_norms(network: nn.Module) -> None:
    """Have every batch norm of ``network`` take its statistics of all processes' images, in place.

    Ioffe and Szegedy, "Batch Normalization", ICML 2015: the statistics are those of the whole batch.
    """
    for parent in list(network.modules()):
        for name, norm in list(parent.named_children()):
            if isinstance(norm, nn.BatchNorm2d):
                on_cpu = norm.weight.device.type == "cpu"
                setattr(parent, name, _like(norm) if on_cpu else nn.SyncBatchNorm.convert_sync_batchnorm(norm))


def _like(norm: nn.BatchNorm2d) -> CPUSyncBatchNorm:
    """With the very parameters and buffers of ``norm``."""
    synchronised = CPUSyncBatchNorm(norm.num_features, norm.eps, norm.momentum).train(norm.training)
    synchronised._parameters, synchronised._buffers = norm._parameters, norm._buffers
    return synchronised


class CPUSyncBatchNorm(nn.BatchNorm2d):
    """What `nn.SyncBatchNorm` is on GPUs; PyTorch has none for CPUs. Every process has as many images."""

    def forward(self, features: Tensor) -> Tensor:
        if not self.training:
            return super().forward(features)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        variance, mean = torch.var_mean(features.float(), (0, 2, 3), correction=0)
        # In double precision, for a variance that is a small difference of large moments.
        moments = torch.stack((mean.double(), variance.double() + mean.double().square()))
        mean, square = _Sum.apply(moments) / dist.get_world_size()
        variance = square - mean.square()
        count = features.numel() // self.num_features * dist.get_world_size()
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean.float(), self.momentum or 0.0)
            self.running_var.lerp_((variance * count / max(1, count - 1)).float(), self.momentum or 0.0)
        scale = self.weight * (variance + self.eps).rsqrt().float()
        shift = self.bias - mean.float() * scale
        return torch.addcmul(shift[:, None, None], features, scale[:, None, None]).to(features.dtype)


class _Sum(torch.autograd.Function):
    """The sum over all processes; so is its gradient."""

    @staticmethod
    def forward(context: Any, tensor: Tensor) -> Tensor:
        with _lost_processes_named():
            total = tensor.clone()
            dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return _Sum.forward(context, gradient)
