"""The loop around `CycleGAN.step`: data in, progress, samples, checkpoints, a polite end."""

from __future__ import annotations

import json
import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

from cyclegan.config import ConfigError, TrainConfig
from cyclegan.devices import pick_device
from cyclegan.training.checkpoint import load_checkpoint, save_checkpoint
from cyclegan.training.data import batches, samples
from cyclegan.training.log import Tracker, sample_sheet
from cyclegan.training.trainer import CycleGAN
from cyclegan.weights import Weights

log = logging.getLogger(__name__)

CONFIG = "config.json"
START = "started_from.json"
"""What trained the weights that a fine-tuned run started from."""


def train(config: TrainConfig, resume: bool = False, start: Weights | None = None) -> CycleGAN:
    """Train until ``config.steps`` or a signal to stop, saving on the way; returns the model as it stands.

    ``start``: all four networks, to fine-tune instead of random ones.

    Writes ``config.json``, ``checkpoint.pt``, ``losses.csv``, ``losses.png`` and ``samples/`` into ``config.run``.

    Raises:
        ConfigError: a folder without images, or a run that is already there (or, with ``resume``, is not).
        NonFiniteLossError: it diverged.
    """
    model = CycleGAN(config, pick_device())
    checkpoint = config.run / "checkpoint.pt"
    if resume:
        load_checkpoint(checkpoint, model)
    elif checkpoint.exists():
        raise ConfigError(f"{config.run} already holds a run: continue it with --resume or choose another folder.")
    elif start:
        model.start_from(start.networks)
    tracker = Tracker(config.run, config.log_every, model.global_step)
    (config.run / CONFIG).write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")
    if start:
        origin = json.dumps(start.config.training | {"origin": start.origin}, indent=2)
        (config.run / START).write_text(origin + "\n", encoding="utf-8")
    sheet = {name: tensor.to(model.device) for name, tensor in samples(config.data, config.seed).items()}
    sampled = saved = time.monotonic()
    data = batches(config.data, config.seed, model.global_step, config.steps)
    total = config.steps * config.data.batch
    with _stop_requested() as stop, tqdm(total=total, initial=model.global_step * config.data.batch, unit="img") as bar:
        for batch in data:
            losses = model.step(batch)
            tracker.add(model.global_step, losses)
            bar.update(config.data.batch)
            bar.set_postfix({name: f"{value:.2f}" for name, value in tracker.recent.items()}, refresh=False)
            now, over = time.monotonic(), stop.is_set() or model.global_step == config.steps
            if over or now - sampled > 60 * config.sample_minutes:
                path = tracker.samples / f"{model.global_step:07d}.jpg"
                sample_sheet(model.G_ema, model.F_ema, sheet, path, config.generator)
                sampled = now
            if over or now - saved > 60 * config.checkpoint_minutes:
                save_checkpoint(checkpoint, model)
                tracker.plot()
                saved = now
            if stop.is_set():
                log.info("Stopped at step %d; continue with --resume.", model.global_step)
                break
    return model


@contextmanager
def _stop_requested() -> Iterator[threading.Event]:
    """An event that Ctrl-C or a polite kill sets, so that the step under way is finished and saved."""
    stop = threading.Event()
    signals = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in signals}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
