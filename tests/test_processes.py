"""Several processes: the run of one, whatever their number; none waits for ever for another."""

import csv
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
from PIL import Image

from cyclegan.config import ConfigError, TrainConfig
from cyclegan.training.cli import LOST
from cyclegan.training.data import Batch
from cyclegan.training.loop import train
from cyclegan.training.processes import (
    CPUSyncBatchNorm,
    Processes,
    ProcessLostError,
    check_divisible,
    joined,
    synchronise_norms,
)
from cyclegan.training.trainer import CycleGAN, Losses
from tests.training_fixtures import same, wait_for

pytest_plugins = ["tests.training_fixtures"]

ROOT = Path(__file__).parents[1]
TOLERANCE = 2e-3
"""Relative, of each loss in the first steps: sums over processes are rounded otherwise than those over one batch."""


@pytest.fixture
def uneven(config: TrainConfig, tmp_path: Path, make_drawing: Callable[..., Image.Image]) -> TrainConfig:
    """Batches in which one process may have all the pairs, a pool that gives old images back, all kinds of losses."""
    sketches = tmp_path / "sketches"
    sketches.mkdir()
    make_drawing((40, 40)).save(sketches / "a.png")
    data = config.data.model_copy(update={"sketches": sketches, "paired_prob": 0.4, "batch": 4})
    loss = config.loss.model_copy(update={"identity_every": 2, "lines": 1.0})
    return config.model_copy(update={"data": data, "loss": loss, "steps": 6, "pool": 5, "log_every": 1})


def as_process(rank: int, count: int, port: int, work: Callable[..., None], *arguments: object) -> None:
    """Run ``work`` as one of the processes that ``torchrun`` would start."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_RANK": str(rank), "TORCHELASTIC_RUN_ID": "none"}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    work(*arguments)


def in_two(start: Callable[..., BaseProcess], work: Callable[..., None], *arguments: object) -> list[BaseProcess]:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    return [start(as_process, rank, 2, port, work, *arguments) for rank in range(2)]


def ended(processes: list[BaseProcess]) -> list[int | None]:
    for process in processes:
        process.join(120)
    return [process.exitcode for process in processes]


def trained(config: TrainConfig, resume: bool, folder: Path) -> None:
    """Each process leaves its state in ``folder``."""
    torch.save(train(config, resume).state_dict(), folder / f"{os.environ.get('RANK', 0)}.pt")


def rows(config: TrainConfig) -> list[dict[str, float]]:
    with (config.run / "losses.csv").open(newline="") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def test_two_processes_have_the_losses_of_one_and_one_can_go_on(
    uneven: TrainConfig, tmp_path: Path, start_process: Callable[..., BaseProcess]
) -> None:
    whole = start_process(as_process_alone, uneven)
    two = uneven.model_copy(update={"run": tmp_path / "two"})
    assert ended([*in_two(start_process, trained, two, False, tmp_path), whole]) == [0, 0, 0]
    states = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    assert same(*states)  # averages, pools and random generators, too
    assert len(rows(two)) == 6
    assert {"paired/photo", "lines/sketch", "identity/photo", "cycle/photo", "cycle/sketch"} <= {
        *rows(two)[1],
        *rows(two)[0],
    }
    for one, other in zip(rows(uneven), rows(two), strict=True):
        assert other == pytest.approx(one, rel=TOLERANCE), one["step"]

    longer = [config.model_copy(update={"steps": 8, "decay_from": 1.0}) for config in (uneven, two)]
    alone = start_process(as_process_alone, longer[1], True)  # two processes, then one
    pair = in_two(start_process, trained, longer[0], True, tmp_path)  # one process, then two
    assert ended([alone, *pair]) == [0, 0, 0]
    for one, other in zip(*(rows(config)[6:] for config in longer), strict=True):
        assert other == pytest.approx(one, rel=5 * TOLERANCE), one["step"]


def as_process_alone(config: TrainConfig, resume: bool = False) -> None:
    torch.set_num_threads(1)
    train(config, resume)


def norms(folder: Path) -> None:
    with joined() as (processes, _):
        network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, bias=False), torch.nn.BatchNorm2d(4))
        images = torch.load(folder / "images.pt")
        network.load_state_dict(torch.load(folder / "network.pt"))
        synchronise_norms(network)
        assert isinstance(network[1], CPUSyncBatchNorm)
        output = network(images[processes.share(len(images))])
        output.pow(3).sum().backward()
        whole = processes.gather(output.detach())
        gradients = [processes.add_up(p.grad) for p in network.parameters() if p.grad is not None]
        network.eval()
        quiet = network(images)
        if processes.is_main:
            torch.save((whole, gradients, network.state_dict(), quiet.detach()), folder / "found.pt")


def test_batch_norm_takes_the_statistics_of_all(tmp_path: Path, start_process: Callable[..., BaseProcess]) -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, bias=False), torch.nn.BatchNorm2d(4))
    images = torch.randn(4, 3, 8, 8) * torch.tensor([1, 2, 5, 9]).view(4, 1, 1, 1) + 3
    torch.save(images, tmp_path / "images.pt")
    torch.save(network.state_dict(), tmp_path / "network.pt")
    assert ended(in_two(start_process, norms, tmp_path)) == [0, 0]
    whole, gradients, state, quiet = torch.load(tmp_path / "found.pt")
    output = network(images)
    output.pow(3).sum().backward()
    torch.testing.assert_close(whole, output.detach(), atol=1e-4, rtol=1e-4)
    for found, parameter in zip(gradients, network.parameters(), strict=True):
        torch.testing.assert_close(found, parameter.grad, atol=1e-2, rtol=1e-3)
    torch.testing.assert_close(state, dict(network.state_dict()), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(quiet, network.eval()(images), atol=1e-4, rtol=1e-4)


def test_a_folder_smaller_than_the_batch_is_enough(
    config: TrainConfig, tmp_path: Path, start_process: Callable[..., BaseProcess]
) -> None:
    for path in sorted(config.data.photos.iterdir())[1:]:
        path.unlink()
    data = config.data.model_copy(update={"batch": 4, "workers": 1})
    settings = config.model_copy(update={"data": data})
    assert ended(in_two(start_process, trained, settings, False, tmp_path)) == [0, 0]


def test_a_mistake_ends_all_and_only_one_says_so(
    config: TrainConfig, tmp_path: Path, start_process: Callable[..., BaseProcess]
) -> None:
    nowhere = config.model_copy(update={"data": config.data.model_copy(update={"photos": tmp_path / "nowhere"})})
    first, second = in_two(start_process, trained, nowhere, False, tmp_path)
    assert ended([first, second]) == [1, 2]  # an uncaught error; a silent exit


def test_a_batch_that_cannot_be_shared_is_refused(config: TrainConfig) -> None:
    check_divisible(config, Processes(2))
    with pytest.raises(ConfigError, match=r"data.batch is 2, which 3 processes .* make it a multiple of 3"):
        check_divisible(config, Processes(3))
    with pytest.raises(ConfigError, match="make it a multiple of 4"):
        check_divisible(config.model_copy(update={"accumulate": 2}), Processes(2))


def second_gets(number: signal.Signals) -> None:
    """From here on, the second process gets that signal in its second step."""
    step = CycleGAN.step

    def signalled(model: CycleGAN, batch: Batch) -> Losses:
        if os.environ["RANK"] == "1" and model.global_step == 1:
            signal.raise_signal(number)
        return step(model, batch)

    CycleGAN.step = signalled  # type: ignore


def stopped_at_two(config: TrainConfig) -> None:
    second_gets(signal.SIGTERM)
    assert train(config).global_step == 2


def test_a_signal_to_one_stops_all_after_the_same_step(
    config: TrainConfig, start_process: Callable[..., BaseProcess]
) -> None:
    assert ended(in_two(start_process, stopped_at_two, config.model_copy(update={"steps": 1000}))) == [0, 0]
    assert torch.load(config.run / "checkpoint.pt", weights_only=True)["global_step"] == 2


def says_why_it_ends(config: TrainConfig) -> None:
    """The second process is killed; the first hears of it from torchrun, too, before it has said anything."""
    second_gets(signal.SIGKILL)
    with pytest.raises(ProcessLostError, match="The state of step"):
        train(config)
    signal.raise_signal(signal.SIGTERM)
    raise SystemExit(LOST)


def test_what_outlives_a_killed_process_says_so(config: TrainConfig, start_process: Callable[..., BaseProcess]) -> None:
    assert ended(in_two(start_process, says_why_it_ends, config)) == [LOST, -signal.SIGKILL]


def test_torchrun_says_how_many_and_a_killed_process_ends_the_run(tmp_path: Path) -> None:
    run = tmp_path / "run"
    settings = ("steps=100000", "log_every=2", f"run={run}")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "train", "train/configs/smoke.toml", *(word for s in settings for word in ("--set", s))]
    with (tmp_path / "log").open("w") as file:
        launcher = subprocess.Popen(command, cwd=ROOT, stderr=file)
    try:
        wait_for((run / "losses.csv").exists, 120)
        workers = {rank(pid): pid for pid in children(launcher.pid)}
        os.kill(workers["1"], signal.SIGKILL)
        killed = time.monotonic()
        assert launcher.wait(60) != 0
    finally:
        if launcher.poll() is None:
            for pid in (*children(launcher.pid), launcher.pid):  # killed alone, it would leave its processes behind
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    text = (tmp_path / "log").read_text()
    assert time.monotonic() - killed < 60
    assert text.count("in 2 processes on cpu") == 1
    assert "Another process of this run died, or cannot be reached. The state of step" in text
    assert "Traceback" not in text.partition("Another process")[0]
    assert (run / "checkpoint.pt").exists()


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def rank(pid: int) -> str:
    words = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return next((word.partition("=")[2] for word in words if word.startswith("RANK=")), "")
