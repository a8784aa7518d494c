"""A run survives what happens to runs: kills at any moment, full disks, damaged files, lost photos, a second run."""

import logging
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch

from cyclegan.config import ConfigError, TrainConfig
from cyclegan.training import checkpoint, loop
from cyclegan.training.checkpoint import SaveError, checkpoints, load_checkpoint, save_checkpoint
from cyclegan.training.data import Batch, UnpairedImages, batches
from cyclegan.training.log import NonFiniteLossError
from cyclegan.training.loop import train
from cyclegan.training.trainer import CycleGAN, Losses
from tests.training_fixtures import CPU, same, wait_for

pytest_plugins = ["tests.training_fixtures"]

STEPS, KILLS = 60, 8
FOREVER = 1e9  # minutes


def run(config: TrainConfig, resume: bool) -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored where the tests run under nohup
    train(config, resume)


def changed(config: TrainConfig, workers: int = 0, **settings) -> TrainConfig:
    data = config.data.model_copy(update={"workers": workers})
    return config.model_copy(update={"data": data, **settings})


def state(config: TrainConfig) -> dict:
    return torch.load(config.run / "checkpoint.pt", weights_only=True)


def test_a_run_killed_at_random_moments_equals_one_that_was_not(
    config: TrainConfig, tmp_path: Path, start_process: Callable[..., BaseProcess]
) -> None:
    """Networks, averages, Adam, pools, random generators, losses.csv: bit for bit on the CPU."""
    config = changed(config, steps=STEPS, log_every=7, checkpoint_minutes=1e-9, sample_minutes=FOREVER)
    whole, killed = config, config.model_copy(update={"run": tmp_path / "killed"})
    start_process(int).join()  # the process that the others are forked from imports PyTorch first
    begun = time.monotonic()
    undisturbed = start_process(run, whole, False)
    undisturbed.join()
    assert undisturbed.exitcode == 0
    seconds = time.monotonic() - begun
    moments, kills = random.Random(0), 0
    while kills < KILLS or not (killed.run / "losses.png").exists():
        process = start_process(run, killed, bool(checkpoints(killed.run / "checkpoint.pt")))
        process.join(None if kills >= KILLS else moments.uniform(0, 2 * seconds / KILLS))
        if process.exitcode is None:
            process.kill()
            process.join()
            kills += 1
        elif kills < KILLS:  # it came to its end: once more, in smaller pieces
            shutil.rmtree(killed.run)
            seconds, kills = seconds / 2, 0
    assert state(killed)["global_step"] == STEPS
    assert same(state(whole), state(killed))
    assert (whole.run / "losses.csv").read_text() == (killed.run / "losses.csv").read_text()


def dies_while_saving(config: TrainConfig, at: int) -> None:
    torch.set_num_threads(1)
    save = torch.save

    def half(state, file) -> None:
        if state["global_step"] == at:
            file.write(b"PK half of it")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        save(state, file)

    torch.save = half  # type: ignore[assignment]
    train(config)


def test_a_kill_in_the_middle_of_a_save(
    config: TrainConfig, tmp_path: Path, start_process: Callable[..., BaseProcess]
) -> None:
    config = changed(config, checkpoint_minutes=1e-9, sample_minutes=FOREVER)
    whole = start_process(run, config, False)
    killed = config.model_copy(update={"run": tmp_path / "killed"})
    process = start_process(dies_while_saving, killed, 3)
    process.join()
    whole.join()
    assert process.exitcode == -signal.SIGKILL
    assert state(killed)["global_step"] == 2
    start_process(run, killed, True).join()
    assert same(state(config), state(killed))


@pytest.mark.parametrize("spoil", ["cut", "empty", "garbage", "flipped", "missing"])
def test_a_damaged_checkpoint_is_noticed_and_the_one_before_is_used(config: TrainConfig, caplog, spoil: str) -> None:
    path, model = config.run / "checkpoint.pt", CycleGAN(config, CPU)
    for model.global_step in (1, 2, 3):
        save_checkpoint(path, model.state_dict())
    assert [file.name for file in checkpoints(path)] == ["checkpoint.pt", "checkpoint.1.pt"]
    whole = path.read_bytes()
    flipped = bytearray(whole)
    for place in range(len(whole) // 2, len(whole) // 2 + 400):
        flipped[place] ^= 255
    damaged = {"cut": whole[:-100], "empty": b"", "garbage": b"?" * 5000, "flipped": bytes(flipped)}
    path.unlink() if spoil == "missing" else path.write_bytes(damaged[spoil])
    with caplog.at_level(logging.WARNING):
        assert load_checkpoint(path, model)["global_step"] == 2
    (record,) = caplog.records
    assert "checkpoint.1.pt, step 2" in record.getMessage()
    assert [file.name for file in checkpoints(path)] == ["checkpoint.pt"]  # the whole one, whose place nothing took
    path.write_bytes(b"")
    with pytest.raises(ConfigError, match=r"No checkpoint in .* is whole \(checkpoint.pt\)"):
        load_checkpoint(path, model)


def test_as_many_checkpoints_are_kept_as_asked_for(config: TrainConfig) -> None:
    path, model = config.run / "checkpoint.pt", CycleGAN(config, CPU)
    for keep, names in ((3, ["", ".1", ".2"]), (1, [""])):
        for model.global_step in range(5):
            save_checkpoint(path, model.state_dict(), keep)
        assert [file.name for file in checkpoints(path)] == [f"checkpoint{name}.pt" for name in names]
    assert [torch.load(file, weights_only=True)["global_step"] for file in checkpoints(path)] == [4]


def test_a_full_disk_costs_a_sentence_and_no_checkpoint(config: TrainConfig) -> None:
    path, model = config.run / "checkpoint.pt", CycleGAN(config, CPU)
    save_checkpoint(path, model.state_dict())
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(SaveError, match=r"No checkpoint could be written to .* \(.+\); the one before it is kept"):
            save_checkpoint(path, model.state_dict())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert [file.name for file in config.run.iterdir()] == ["checkpoint.pt"]


def test_a_disk_that_is_full_for_a_while_does_not_end_the_run(config: TrainConfig, monkeypatch, caplog) -> None:
    config = config.model_copy(update={"checkpoint_minutes": 1e-9})
    save, failed = checkpoint.torch.save, []

    def full(state, file) -> None:
        if state["global_step"] == 2:
            failed.append(2)
            raise OSError(28, "No space left on device")
        save(state, file)

    monkeypatch.setattr(checkpoint.torch, "save", full)
    with caplog.at_level(logging.WARNING):
        train(config)
    assert failed == [2]
    (record,) = (one for one in caplog.records if one.name == "cyclegan.training.loop")  # the doctor is another
    assert "(No space left on device); the one before it is kept. Training goes on." in record.getMessage()
    assert state(config)["global_step"] == 4


def test_losses_are_the_same_when_a_row_is_interrupted(config: TrainConfig, tmp_path: Path, monkeypatch) -> None:
    config = config.model_copy(update={"steps": 7, "log_every": 4})
    train(config)
    halves = config.model_copy(update={"run": tmp_path / "halves"})
    step = CycleGAN.step

    def stops(model: CycleGAN, batch: Batch) -> Losses:
        if model.global_step == 5:
            signal.raise_signal(signal.SIGTERM)
        return step(model, batch)

    with monkeypatch.context() as patch:
        patch.setattr(CycleGAN, "step", stops)
        train(halves)
    train(halves, resume=True)
    rows = (config.run / "losses.csv").read_text()
    assert rows == (halves.run / "losses.csv").read_text()
    assert [row.split(",")[0] for row in rows.splitlines()] == ["step", "4", "7"]  # the last row, too, which is short


def test_a_photo_that_vanishes_or_rots_costs_one_warning(config: TrainConfig, caplog) -> None:
    paths = sorted(config.data.photos.iterdir())
    settings = changed(config, workers=1).data
    data = batches(UnpairedImages(settings, 0), 0, 12)
    next(data)
    paths[0].unlink()
    paths[1].write_bytes(paths[1].read_bytes()[:100])
    with caplog.at_level(logging.WARNING):
        later = list(data)
    assert len(later) == 11
    assert all(batch["photo"].shape == (2, 3, 32, 32) for batch in later)
    assert sorted(record.getMessage().split("”")[0] for record in caplog.records) == ["“0.png", "“1.png"]


def test_photos_that_all_vanish_end_the_run_in_one_sentence(config: TrainConfig) -> None:
    data = batches(UnpairedImages(changed(config, workers=1).data, 0), 0, 100)
    next(data)
    for path in config.data.photos.iterdir():
        path.unlink()
    with pytest.raises(ConfigError, match="20 images in a row cannot be opened; are they still there"):
        list(data)


def fails(config: TrainConfig) -> None:
    torch.set_num_threads(1)

    def step(model: CycleGAN, batch: Batch) -> Losses:
        raise AssertionError("a bug")

    CycleGAN.step = step  # type: ignore
    train(config)


def test_an_uncaught_error_never_hangs(config: TrainConfig, start_process: Callable[..., BaseProcess]) -> None:
    """Workers ignore SIGTERM; the process used to wait for them for ever as it ended."""
    process = start_process(fails, changed(config, workers=2, steps=1000))
    process.join(60)
    assert process.exitcode == 1


def reports_workers(config: TrainConfig, file: Path) -> None:
    torch.set_num_threads(1)
    step = CycleGAN.step

    def reporting(model: CycleGAN, batch: Batch) -> Losses:
        file.with_suffix(".tmp").write_text(" ".join(str(child.pid) for child in multiprocessing.active_children()))
        file.with_suffix(".tmp").replace(file)
        return step(model, batch)

    CycleGAN.step = reporting  # type: ignore
    train(config)


def test_workers_end_with_a_killed_parent(
    config: TrainConfig, tmp_path: Path, start_process: Callable[..., BaseProcess]
) -> None:
    process = start_process(reports_workers, changed(config, workers=2, steps=100_000), tmp_path / "workers")
    wait_for((tmp_path / "workers").exists)
    workers = [int(pid) for pid in (tmp_path / "workers").read_text().split()]
    assert len(workers) >= 2
    process.kill()
    process.join()
    wait_for(lambda: not any(runs(pid) for pid in workers))


def runs(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_save_and_a_second_ends_at_once(
    config: TrainConfig, start_process: Callable[..., BaseProcess], number: signal.Signals
) -> None:
    config = changed(config, steps=100_000, checkpoint_minutes=FOREVER, sample_minutes=FOREVER)
    process = start_process(run, config, False)
    assert process.pid
    wait_for((config.run / "losses.csv").exists)
    os.kill(process.pid, number)
    process.join(60)
    assert process.exitcode == 0
    assert state(config)["global_step"] > 0


def sleeps_in_step(config: TrainConfig) -> None:
    def step(model: CycleGAN, batch: Batch) -> Losses:
        (config.run / "asleep").touch()
        while True:
            time.sleep(0.1)

    CycleGAN.step = step  # type: ignore
    train(config)


def test_ctrl_c_twice_ends_at_once(config: TrainConfig, start_process: Callable[..., BaseProcess]) -> None:
    process = start_process(sleeps_in_step, config)
    assert process.pid
    wait_for((config.run / "asleep").exists)
    os.kill(process.pid, signal.SIGINT)
    process.join(1)
    assert process.exitcode is None
    os.kill(process.pid, signal.SIGINT)
    process.join(5)
    assert process.exitcode == -signal.SIGINT


def test_two_runs_in_one_folder_are_refused_from_the_first_second(
    config: TrainConfig, start_process: Callable[..., BaseProcess]
) -> None:
    process = start_process(sleeps_in_step, config)
    wait_for((config.run / "asleep").exists)
    settings = (config.run / "config.json").read_text()
    for resume in (False, True):
        with pytest.raises(ConfigError, match="Another process is training in"):
            train(config.model_copy(update={"steps": 5}), resume)
    assert (config.run / "config.json").read_text() == settings
    process.kill()
    process.join()
    train(config)  # the lock died with its process


def test_resume_names_what_changed_and_refuses_what_cannot_be_continued(config: TrainConfig, caplog) -> None:
    train(config)
    before = (config.run / "config.json").read_text()
    for settings, name in (
        ({"seed": 1}, "seed from 0 to 1"),
        ({"data": config.data.model_copy(update={"batch": 1})}, "data.batch from 2 to 1"),
        ({"data": config.data.model_copy(update={"size": 64})}, "data.size from 32 to 64"),
        ({"generator": config.generator.model_copy(update={"noise_input": False})}, "generator.noise_input"),
    ):
        with pytest.raises(ConfigError, match=f"cannot be continued with other settings: {name}"):
            train(config.model_copy(update=settings), resume=True)
    assert (config.run / "config.json").read_text() == before
    with caplog.at_level(logging.INFO):
        train(config.model_copy(update={"steps": 6, "learning_rate": 1e-4}), resume=True)
    assert "Changed since the run was started: steps from 4 to 6, learning_rate from 0.0002 to 0.0001." in caplog.text
    assert state(config)["global_step"] == 6


def test_a_finished_run_says_so_and_has_its_curves(config: TrainConfig, caplog) -> None:
    train(config)
    curves = (config.run / "losses.png").read_bytes()
    (config.run / "losses.png").unlink()  # as after a kill that came between the last checkpoint and them
    with caplog.at_level(logging.INFO):
        assert train(config, resume=True).global_step == 4
    assert (config.run / "losses.png").read_bytes() == curves
    assert f"{config.run} is finished: all of its 4 steps are done. Next: python -m train.export" in caplog.text


def test_a_loss_that_is_not_finite_keeps_the_last_good_state(config: TrainConfig, monkeypatch) -> None:
    step = CycleGAN.step

    def diverges(model: CycleGAN, batch: Batch) -> Losses:
        if model.global_step == 3:
            batch["photo"][0, 0, 0, 0] = float("nan")
        return step(model, batch)

    monkeypatch.setattr(CycleGAN, "step", diverges)
    with pytest.raises(NonFiniteLossError, match=r"became nan at step 4.* The state of step 2 is saved: --resume"):
        train(config)
    saved = state(config)
    assert saved["global_step"] == 2
    assert all(torch.isfinite(tensor).all() for tensor in saved["G"].values())
    monkeypatch.setattr(CycleGAN, "step", step)
    assert train(config.model_copy(update={"learning_rate": 1e-5}), resume=True).global_step == 4


def test_stopped_and_finished_have_different_exit_codes(tmp_path: Path, monkeypatch, caplog) -> None:
    from train.__main__ import main

    settings = ["train/configs/smoke.toml", "--set", f"run={tmp_path / 'run'}", "--set", "steps=2"]
    step = CycleGAN.step

    def stops(model: CycleGAN, batch: Batch) -> Losses:
        if model.global_step == 0:
            signal.raise_signal(signal.SIGTERM)
        return step(model, batch)

    monkeypatch.chdir(Path(__file__).parents[1])
    monkeypatch.setattr(CycleGAN, "step", stops)
    assert main(settings) == 3
    assert main([*settings, "--resume", "--keep", "3"]) == 0
    assert {"checkpoint.pt", "checkpoint.1.pt"} <= {path.name for path in (tmp_path / "run").iterdir()}

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "batches", interrupted)
    settings[2] = f"run={tmp_path / 'other'}"
    assert main(settings) == 130
    assert "Interrupted before the first step; nothing was saved." in caplog.text


def test_no_internet_is_one_sentence(config: TrainConfig, monkeypatch) -> None:
    from cyclegan.training import perceptual

    def offline(weights: object) -> None:
        raise OSError("<urlopen error [Errno -3] Temporary failure in name resolution>")

    monkeypatch.setattr(perceptual, "mobilenet_v2", offline)
    with pytest.raises(ConfigError, match=r"cannot be downloaded .*give it as a file, loss\.perceptual_weights="):
        perceptual.PerceptualFeatures(None)


def test_without_a_terminal_there_are_lines_and_no_bar(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "train", "train/configs/smoke.toml", "--set", f"run={tmp_path / 'run'}"]
    command += ["--set", "steps=2"]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True)
    assert "\r" not in done.stderr
    assert "Step 2 of 2, " in done.stderr
    assert "Next: python -m train.export" in done.stderr
