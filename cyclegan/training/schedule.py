"""What a step trains and how fast: functions of its number and the settings, with no state to save."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Self

from cyclegan.config import LossConfig, TrainConfig

Domain = Literal["photo", "sketch"]


@dataclass(frozen=True)
class Schedule:
    """What a step trains: all the "every n-th step" rules of `LossConfig`."""

    domains: tuple[Domain, ...]
    """The domains whose generator (G of photos, F of sketches) and discriminator learn."""
    cycle_sketch: bool
    cycle_photo: bool
    identity: bool

    @classmethod
    def of(cls, loss: LossConfig, step: int) -> Self:
        intervals: dict[Domain, int] = {"photo": loss.photo_every, "sketch": loss.sketch_every}
        even = step % 2 == 0
        return cls(
            domains=tuple(domain for domain, every in intervals.items() if every and step % every == 0),
            cycle_sketch=loss.cycle_sketch > 0 and (even or not loss.alternate_cycles),
            cycle_photo=loss.cycle_photo > 0 and not (even and loss.alternate_cycles),
            identity=loss.identity > 0 and step % loss.identity_every == 0,
        )


def learning_rate(config: TrainConfig, step: int) -> float:
    """The generators' rate at ``step``: rising at first, if there is a warm-up, constant, then falling to zero.

    Linear fall: CycleGAN, section 4; cosine: Loshchilov and Hutter, "SGDR", ICLR 2017, eq. 5, without restarts.
    """
    start = config.decay_from * config.steps
    left = min(1.0, max(0.0, (config.steps - step) / max(1, config.steps - start)))
    if config.schedule == "cosine":
        left = (1 - math.cos(math.pi * left)) / 2
    rising = min(1.0, (step + 1) / (config.warm_up * config.steps)) if config.warm_up else 1.0
    return config.learning_rate * left * rising
