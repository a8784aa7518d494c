"""The loop around `CycleGAN.step`: data in, progress, samples, checkpoints, a polite end."""

from __future__ import annotations

import copy
import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from tqdm.contrib.logging import logging_redirect_tqdm

from cyclegan.config import ConfigError, TrainConfig, parse
from cyclegan.training.boards import Boards
from cyclegan.training.checkpoint import CHECKPOINT, SaveError, checkpoints, load_checkpoint, save_checkpoint
from cyclegan.training.data import Batch, UnpairedImages, batches, samples
from cyclegan.training.doctor import Doctor
from cyclegan.training.files import Found, find_images
from cyclegan.training.log import (
    ENVIRONMENT,
    Clock,
    NonFiniteLossError,
    Progress,
    Tracker,
    environment,
    flat,
    held_out_scores,
    read_rows,
    sample_sheet,
    write_rows,
)
from cyclegan.training.processes import ProcessLostError, check_divisible, joined, under_torchrun
from cyclegan.training.trainer import CycleGAN
from cyclegan.weights import Weights

log = logging.getLogger(__name__)

CONFIG = "config.json"
START = "started_from.json"
"""What trained the weights that a fine-tuned run started from."""
LOCK, INDEX = ".lock", ".images.json"
FIXED = ("generator", "discriminator", "seed", "data.size", "data.batch", "loss.gan_mode")
"""Settings without which a run is another: its networks, its order of samples, its pools."""


def train(config: TrainConfig, resume: bool = False, start: Weights | None = None) -> CycleGAN:
    """Train until ``config.steps`` or a signal to stop, saving on the way; returns the model as it stands.

    The same run in one process or in several that ``torchrun`` started, each with its share of every batch.

    ``start``: all four networks, to fine-tune instead of random ones.

    Writes ``config.json``, ``environment.json``, ``checkpoint.pt``, ``losses.csv``, ``losses.png``, ``speed.csv``,
    ``held_out.csv``, ``samples/`` and what `boards` write into ``config.run``.

    Raises:
        ConfigError: a folder without images, or a run that is already there (or, with ``resume``, is not, or cannot be
            continued with these settings).
        NonFiniteLossError: it diverged; the state before is saved.
        ProcessLostError: another process of this run died; the state before is saved, if this is the main one.
        SaveError: the last checkpoint could not be written.
    """
    with joined() as (processes, device), _deterministic(config.deterministic), ExitStack() as held:
        check_divisible(config, processes)
        processes.on_main(lambda: held.enter_context(_only_run_in(config.run)))
        found = processes.on_main(lambda: _found(config, resume))
        model = CycleGAN(config, device, processes)
        state = processes.on_main(lambda: load_checkpoint(config.run / CHECKPOINT, model)) if resume else None
        if state and not processes.is_main:
            model.load_state_dict(state)
        if start and not resume:
            model.start_from(start.networks)
        tracker = Tracker(config.run, config.log_every, state, processes)
        if model.global_step >= config.steps:
            if processes.is_main:
                _if_there_is_room(tracker.plot)  # the last time may have been cut off after the last checkpoint
            log.info("%s is finished: all of its %d steps are done. %s", config.run, model.global_step, _next(config))
            return model
        if processes.is_main:
            _write(config.run / CONFIG, config.model_dump_json(indent=2))
            _write(config.run / ENVIRONMENT, json.dumps(environment(device, processes), indent=2))
            if start:
                _write(config.run / START, json.dumps(start.config.training | {"origin": start.origin}, indent=2))
        if state and state.get("images", found.fingerprint) != found.fingerprint:
            log.warning("The images are not those of before: the run goes on with these, in another order.")
        _describe(config, model, found)
        sheet = processes.on_main(lambda: samples(config.data, config.seed, found))
        sheet = {name: tensor.to(model.device) for name, tensor in sheet.items()}
        dataset = UnpairedImages(config.data, config.seed, found.training)
        share = processes.share(config.data.batch)
        with closing(batches(dataset, model.global_step, config.steps, share, model.device)) as data:
            doctor = Doctor(config)
            if processes.is_main:
                doctor.look_at_data(dataset)
            _loop(config, model, data, tracker, sheet, doctor, {"images": found.fingerprint})
    return model


def _found(config: TrainConfig, resume: bool) -> Found:
    if resume:
        _compare_settings(config)
    elif checkpoints(config.run / CHECKPOINT):
        raise ConfigError(f"{config.run} already holds a run: continue it with --resume or choose another folder.")
    return find_images(config.data, config.run / INDEX)


def _loop(
    config: TrainConfig,
    model: CycleGAN,
    data: Iterator[Batch],
    tracker: Tracker,
    sheet: Batch,
    doctor: Doctor,
    origin: dict[str, Any],
) -> None:
    """``origin``: what a checkpoint says of the data, too."""

    def state() -> dict[str, Any]:
        return model.state_dict() | tracker.state_dict() | origin

    def save_sheet() -> None:
        path = tracker.samples / f"{model.global_step:07d}.jpg"
        columns = sample_sheet(model.G_ema, model.F_ema, sheet, path, config.generator, config.previews)
        doctor.look_at_samples(model.global_step, sheet, columns)
        board.add_sheet(model.global_step, path)
        scores = held_out_scores(columns, sheet)
        earlier = [row for row in read_rows(config.run / "held_out.csv") if row["step"] < model.global_step]
        rows = [*earlier, {"step": model.global_step} | scores]
        write_rows(config.run / "held_out.csv", rows)
        doctor.look_at_held_out(rows)
        board.add(model.global_step, {f"held_out_{name}": value for name, value in scores.items()})

    processes = model.processes
    path, good = config.run / CHECKPOINT, copy.deepcopy(state())
    sampled = saved = time.monotonic()
    clock = Clock(config.run)
    settings = flat(config.model_dump(mode="json"))
    board = Boards(config.run, model.global_step, config.wandb, settings, wanted=processes.is_main)
    progress = Progress(config.steps, model.global_step, config.data.batch, shown=processes.is_main)
    with _stop_requested() as stop, board, progress.bar, logging_redirect_tqdm():
        try:
            for batch in clock.timed(data, model.global_step):
                losses = model.step(batch)
                finished = model.global_step == config.steps
                with clock.reading():
                    complete = tracker.add(model.global_step, losses, last=finished)
                if complete:
                    good = copy.deepcopy(state())
                    if processes.is_main:
                        _if_there_is_room(tracker.write)
                        clock.lap(model.global_step, config.data.batch)
                        _if_there_is_room(clock.write)
                        board.add(model.global_step, tracker.recent | model.rates_and_norms() | clock.scalars())
                        doctor.look_at_waiting(clock.waiting)
                        if doctor.look_at_losses(tracker.rows):
                            log.info("Stopping early: no progress in %d rows (early_stop).", config.early_stop)
                            stop.set()
                progress.advance(model.global_step, tracker.recent)
                now = time.monotonic()
                stopped, save, show = processes.any(
                    stop.is_set(),
                    processes.is_main and now - saved > 60 * config.checkpoint_minutes,
                    processes.is_main and now - sampled > 60 * config.sample_minutes,
                )
                over = finished or stopped
                if over or save:
                    tracker.read()
                    if processes.is_main:
                        _save(path, state(), config, must=over)
                    saved = now
                if over or show:
                    if processes.is_main:
                        _if_there_is_room(tracker.plot)
                        _if_there_is_room(save_sheet)
                    sampled = now
                if over:
                    break
        except (NonFiniteLossError, ProcessLostError) as error:
            if processes.is_main:
                save_checkpoint(path, good, config.keep_checkpoints)
            advice = "--resume --set learning_rate=…" if isinstance(error, NonFiniteLossError) else "--resume"
            raise type(error)(
                f"{error} The state of step {good['global_step']} is saved: {advice} goes on from there."
            ) from None
    if finished:
        log.info("Finished: %d steps. %s", model.global_step, _next(config))
    else:
        log.info("Stopped at step %d of %d; continue with --resume.", model.global_step, config.steps)


def _describe(config: TrainConfig, model: CycleGAN, found: Found) -> None:
    """What is trained on what, where and how, in two lines."""
    data = config.data
    log.info("%s", found)
    log.info(
        "Step %d of %d, batches of %d at %d px, in %s on %s in %s; all goes to %s.",
        model.global_step,
        config.steps,
        data.batch,
        data.size,
        "1 process" if model.processes.count == 1 else f"{model.processes.count} processes",
        model.device,
        str(model.precision).removeprefix("torch."),
        config.run,
    )


def _save(path: Path, state: dict[str, Any], config: TrainConfig, must: bool) -> None:
    """A checkpoint on the way that cannot be written costs a warning; the last one, ``must``, has to be there."""
    try:
        save_checkpoint(path, state, config.keep_checkpoints)
    except SaveError as error:
        if must:
            raise
        log.warning("%s Training goes on.", error)


def _if_there_is_room(write: Callable[[], None]) -> None:
    """Losses, curves and sheets are for people: a full disk costs them, and not the run."""
    try:
        write()
    except OSError as error:
        log.warning("No losses, curves or samples could be written (%s).", error.strerror or error)


def _next(config: TrainConfig) -> str:
    return f"Next: python -m train.export {config.run} my_weights"


@contextmanager
def _deterministic(wanted: bool) -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)  # a warning names what has no such algorithm
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


@contextmanager
def _only_run_in(run: Path) -> Iterator[None]:
    """The system gives the lock back when the process dies, however it dies."""
    try:
        run.mkdir(parents=True, exist_ok=True)
        with FileLock(run / LOCK, timeout=0):
            yield
    except Timeout:
        raise ConfigError(f"Another process is training in {run}: stop it, or choose another folder (run).") from None
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise ConfigError(f"run: {run} cannot be made a folder of ({error.strerror}).") from None


def _compare_settings(config: TrainConfig) -> None:
    """Name what changed since the run was started; raises ConfigError for what would make it another run."""
    try:
        text = (config.run / CONFIG).read_text(encoding="utf-8")
        before = flat(parse(TrainConfig, json.loads(text), f"{config.run}/{CONFIG}").model_dump(mode="json"))
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        if checkpoints(config.run / CHECKPOINT):
            log.warning("%s is missing or damaged: its settings cannot be compared.", config.run / CONFIG)
        return
    now = flat(config.model_dump(mode="json"))
    changed = {name: f"{name} from {before[name]} to {now[name]}" for name in now if before[name] != now[name]}
    changed.pop("run", None)
    if refused := [text for name, text in changed.items() if name.startswith(FIXED)]:
        raise ConfigError(f"{config.run} cannot be continued with other settings: {', '.join(refused)}.")
    if changed:
        log.info("Changed since the run was started: %s.", ", ".join(changed.values()))


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(path)


@contextmanager
def _stop_requested() -> Iterator[threading.Event]:
    """An event that Ctrl-C, a polite kill or a closed terminal sets, so that the step under way is finished and saved.

    The second signal of a kind ends the process at once.
    """
    stop = threading.Event()

    def request(number: int, _: object) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)
        # Not by `logging`, whose lock the interrupted code may hold.
        with suppress(OSError):
            os.write(2, b"\nStopping after this step; once more ends at once, without saving.\n")

    before = {}
    if threading.current_thread() is threading.main_thread():
        asked = [signal.SIGINT, signal.SIGTERM]
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup ignores it
            asked.append(signal.SIGHUP)
        before = {number: signal.signal(number, request) for number in asked}
    try:
        yield stop
    except (NonFiniteLossError, ProcessLostError):
        if under_torchrun():  # it ends all by SIGTERM as soon as one has ended: let each say why, first
            before.clear()
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
