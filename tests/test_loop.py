"""The loop: resumed equals uninterrupted, stops politely, leaves what it says."""

import csv
import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cyclegan.config import ConfigError, TrainConfig
from cyclegan.training.data import Batch
from cyclegan.training.log import Tracker
from cyclegan.training.loop import train
from cyclegan.training.trainer import CycleGAN, Losses
from tests.training_fixtures import same

pytest_plugins = ["tests.training_fixtures"]


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums of several threads are rounded as these are scheduled."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_resumed_equals_uninterrupted_bit_for_bit(config: TrainConfig, tmp_path: Path) -> None:
    whole = train(config)
    first = config.model_copy(update={"run": tmp_path / "halves"})
    stopped_early(first, after=2)
    resumed = train(first, resume=True)
    assert same(whole.state_dict(), resumed.state_dict())
    losses = [(folder / "losses.csv").read_text() for folder in (config.run, first.run)]
    assert losses[0] == losses[1]


def stopped_early(config: TrainConfig, after: int, by: signal.Signals = signal.SIGINT) -> None:
    """Train as a run that is told to stop during step ``after``: with its workers, as by Ctrl-C in a terminal."""
    step = CycleGAN.step

    def stopping(model: CycleGAN, batch: Batch) -> Losses:
        if model.global_step == after - 1:
            for worker in multiprocessing.active_children():
                assert worker.pid is not None
                os.kill(worker.pid, by)
            os.kill(os.getpid(), by)
        return step(model, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CycleGAN, "step", stopping)
        assert train(config).global_step == after


def test_ctrl_c_saves_and_gives_the_signal_back(config: TrainConfig) -> None:
    before = signal.getsignal(signal.SIGINT)
    stopped_early(config, after=1)
    assert signal.getsignal(signal.SIGINT) is before
    assert (config.run / "checkpoint.pt").exists()


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_of_a_run_ends_it_as_politely(config: TrainConfig, by: signal.Signals) -> None:
    data = config.data.model_copy(update={"workers": 1})
    stopped_early(config.model_copy(update={"data": data, "steps": 50}), after=3, by=by)
    assert (config.run / "checkpoint.pt").exists()


def test_a_run_leaves_curves_rows_and_samples(config: TrainConfig) -> None:
    train(config)
    with (config.run / "losses.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["2", "4"]
    assert all(float(row["discriminator/photo"]) > 0 for row in rows)
    with Image.open(config.run / "losses.png") as curves, Image.open(config.run / "samples" / "0000004.jpg") as sheet:
        blue = (np.asarray(curves.convert("RGB")) == (31, 119, 180)).all(2)  # the first line's colour
        assert blue.any()
        assert sheet.width > 6 * 32
    assert TrainConfig.model_validate_json((config.run / "config.json").read_text()) == config


def test_a_run_is_not_overwritten_nor_resumed_from_nothing(config: TrainConfig) -> None:
    with pytest.raises(ConfigError, match="no run to resume"):
        train(config, resume=True)
    train(config)
    with pytest.raises(ConfigError, match="already holds a run"):
        train(config)


@pytest.mark.parametrize("wanted", [False, True])
def test_deterministic_algorithms_are_those_of_the_run_alone(config: TrainConfig, monkeypatch, wanted: bool) -> None:
    step, during = CycleGAN.step, []

    def watched(model: CycleGAN, batch: Batch) -> Losses:
        during.append(torch.are_deterministic_algorithms_enabled())
        return step(model, batch)

    monkeypatch.setattr(CycleGAN, "step", watched)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    train(config.model_copy(update={"deterministic": wanted}))
    assert during == [wanted] * 4
    assert not torch.are_deterministic_algorithms_enabled()


def test_losses_are_read_when_a_row_is_complete_and_not_before(config: TrainConfig, monkeypatch) -> None:
    """Reading one waits for the device."""
    readings = []
    read = Tracker.read

    def counted(tracker: Tracker) -> None:
        readings.append(len(tracker.waiting))
        read(tracker)

    monkeypatch.setattr(Tracker, "read", counted)
    train(config.model_copy(update={"steps": 7, "log_every": 3}))
    assert readings == [3, 3, 1, 0]  # the last one before the checkpoint, where nothing waits
