"""The doctor: each of its sentences is provoked, said once, and not said of a run that is well."""

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from cyclegan.config import TrainConfig
from cyclegan.training import loop
from cyclegan.training.data import Batch, UnpairedImages, samples
from cyclegan.training.doctor import PLATEAU_ROWS, WORSE_SHEETS, Doctor
from cyclegan.training.files import find_images
from cyclegan.training.loop import train
from cyclegan.training.trainer import CycleGAN
from tests.training_fixtures import CPU

pytest_plugins = ["tests.training_fixtures"]


@pytest.fixture(autouse=True)
def warnings(caplog) -> None:
    caplog.set_level(logging.WARNING)


@pytest.fixture
def folders(config: TrainConfig, tmp_path: Path, make_drawing: Callable[..., Image.Image]) -> TrainConfig:
    """With a folder of sketches, too."""
    sketches = tmp_path / "sketches"
    sketches.mkdir()
    for number in range(3):
        make_drawing((60 + 10 * number, 60)).save(sketches / f"{number}.png")
    return config.model_copy(
        update={"data": config.data.model_copy(update={"sketches": sketches, "paired_prob": 0.5, "match_names": False})}
    )


def looked_at_data(config: TrainConfig) -> Doctor:
    doctor = Doctor(config)
    for _ in range(2):  # each sentence is said once
        doctor.look_at_data(UnpairedImages(config.data, 0, find_images(config.data).training))
    return doctor


def test_a_run_that_is_well_is_told_nothing(folders: TrainConfig, caplog) -> None:
    train(folders.model_copy(update={"log_every": 1, "sample_minutes": 1e-9}))
    assert [record.getMessage() for record in caplog.records if "waiting for data" not in record.getMessage()] == []


def test_swapped_folders(folders: TrainConfig, caplog) -> None:
    assert folders.data.sketches
    swapped = {"photos": folders.data.sketches, "sketches": folders.data.photos}
    looked_at_data(folders.model_copy(update={"data": folders.data.model_copy(update=swapped)}))
    assert caplog.messages == ["The photos look like drawings and the sketches do not: swap the two folders."]


def test_drawings_instead_of_photos(folders: TrainConfig, caplog) -> None:
    only = {"photos": folders.data.sketches, "sketches": None, "paired_prob": 1.0}
    looked_at_data(folders.model_copy(update={"data": folders.data.model_copy(update=only)}))
    assert caplog.messages == ["The photos look like drawings: is data.photos the folder of photos?"]


def test_grey_things_on_white_are_no_drawings(
    config: TrainConfig, make_photo: Callable[..., Image.Image], caplog
) -> None:
    for number, path in enumerate(sorted(config.data.photos.iterdir())):
        make_photo((60 + 20 * number, 60), number).convert("L").save(path)
    looked_at_data(config)
    assert not caplog.messages


def test_black_photos(config: TrainConfig, caplog) -> None:
    for path in config.data.photos.iterdir():
        Image.new("RGB", (48, 48), (5, 8, 3)).save(path)
    looked_at_data(config)
    assert caplog.messages == ["3 of 3 photos looked at are nearly black: look into data.photos."]


def test_photos_that_are_alike(config: TrainConfig, make_photo: Callable[..., Image.Image], caplog) -> None:
    for path in config.data.photos.iterdir():
        make_photo((48, 48), 7).save(path)
    looked_at_data(config)
    assert caplog.messages == ["The 3 photos looked at are nearly alike: there is nothing to tell apart in them."]


def test_a_discriminator_that_has_won(config: TrainConfig, caplog) -> None:
    """A real one: it learns, the generator does not."""
    settings = {"steps": 120, "log_every": 6, "learning_rate": 1e-7, "discriminator_lr_ratio": 1e5, "decay_from": 1.0}
    train(config.model_copy(update=settings))
    said = [message for message in caplog.messages if message.startswith("The discriminator of photos has won")]
    assert len(said) == 1
    assert "Try a lower discriminator_lr_ratio" in said[0]


def rows(values: list[float]) -> list[dict[str, float]]:
    return [{"step": 50 * number, "cycle/photo": value} for number, value in enumerate(values, 1)]


def test_no_progress(config: TrainConfig, caplog) -> None:
    doctor, falling = Doctor(config), [1 / n for n in range(1, 100)]
    doctor.look_at_losses(rows(falling))
    assert not caplog.messages
    for extra in range(2):
        assert not doctor.look_at_losses(rows(falling + [0.02 + 0.001 * (n % 7) for n in range(PLATEAU_ROWS + extra)]))
    (said,) = caplog.messages
    assert said.startswith("Losses have not fallen for 3000 steps")


def test_early_stop_saves_and_ends(config: TrainConfig, caplog) -> None:
    settings = {"steps": 1000, "log_every": 1, "early_stop": 6, "learning_rate": 1e-12}
    model = train(config.model_copy(update=settings))
    assert 7 <= model.global_step < 200
    assert torch.load(config.run / "checkpoint.pt", weights_only=True)["global_step"] == model.global_step


def sheets(paired: list[float], diversity: list[float] | None = None) -> list[dict[str, float]]:
    varied = diversity or [0.9] * len(paired)
    both = enumerate(zip(paired, varied, strict=True), 1)
    return [{"step": 100 * n, "paired/photo": pair, "diversity/photo": share} for n, (pair, share) in both]


def test_held_out_samples_that_get_worse(config: TrainConfig, caplog) -> None:
    doctor, worse = Doctor(config), [0.4, 0.3, 0.31, 0.33, 0.35, 0.34, 0.36]
    for count in range(1, len(worse)):
        doctor.look_at_held_out(sheets(worse[:count]))
    doctor.look_at_held_out(sheets([*worse[:-1], 0.29]))  # one is better again
    assert not caplog.messages
    for _ in range(2):
        doctor.look_at_held_out(sheets(worse))
    (said,) = caplog.messages
    assert said.startswith(f"Held-out samples have been worse since step 200, in {WORSE_SHEETS} sheets")


def test_photos_that_differ_less_and_less(config: TrainConfig, caplog) -> None:
    doctor, same = Doctor(config), [0.3] * 7
    doctor.look_at_held_out(sheets(same, [0.9, 0.95, 0.6, 0.6, 0.5, 0.4, 0.3]))
    assert not caplog.messages
    for _ in range(2):
        doctor.look_at_held_out(sheets(same, [0.9, 0.95, 0.56, 0.5, 0.45, 0.4, 0.3]))
    (said,) = caplog.messages
    assert said.startswith("The photos that G makes differ less and less: 30% as much as real ones, 95% at step 200.")


def test_a_run_judges_its_held_out_samples(config: TrainConfig, caplog) -> None:
    """A fixed G beside held-out rows that an earlier part of the run left: each new sheet is worse than those."""
    config.run.mkdir()
    (config.run / "held_out.csv").write_text("step,cycle/photo,paired/photo\n0,0.001,0.001\n")
    train(config.model_copy(update={"steps": WORSE_SHEETS, "sample_minutes": 1e-9}))
    assert sum(message.startswith("Held-out samples have been worse since step 0") for message in caplog.messages) == 1
    rows = (config.run / "held_out.csv").read_text().splitlines()
    assert "diversity/photo" in rows[0]
    assert len(rows) == 2 + WORSE_SHEETS


def columns(batch: Batch, **changed: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"fake_photo": batch["photo"], "fake_sketch": batch["traced"]} | changed


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, None),
        ({"fake_photo": lambda batch: batch["photo"][:1].expand_as(batch["photo"])}, "G makes nearly the same photo"),
        ({"fake_sketch": lambda batch: torch.ones_like(batch["traced"])}, "F makes nearly the same sketch"),
        ({"fake_photo": lambda batch: -batch["photo"]}, "What G makes is dark where it should be light"),
        ({"fake_sketch": lambda batch: -batch["traced"]}, "What F makes is dark where it should be light"),
    ],
)
@pytest.mark.parametrize("paired_prob", [0.0, 1.0])
def test_collapse_and_inverted_colours(
    folders: TrainConfig, caplog, changed: dict, said: str | None, paired_prob: float
) -> None:
    config = folders.model_copy(update={"data": folders.data.model_copy(update={"paired_prob": paired_prob})})
    batch = samples(config.data, 0, find_images(config.data))
    if not paired_prob and "sketch" in (said or ""):
        batch["traced"] = batch["sketch"]
    doctor = Doctor(config)
    images = columns(batch, **{name: change(batch) for name, change in changed.items()})
    doctor.look_at_samples(1, batch, images)
    assert not caplog.messages  # it has only begun
    for step in (500, 1000):
        doctor.look_at_samples(step, batch, images)
    assert len(caplog.messages) == (said is not None)
    assert not said or caplog.messages[0].startswith(said)


def test_a_generator_that_has_collapsed_is_found_by_the_run(config: TrainConfig, monkeypatch, caplog) -> None:
    start = CycleGAN(config, CPU)
    last = [parameter for name, parameter in start.G.named_parameters() if "last" in name or "enhancer" in name]
    for parameter in last:
        torch.nn.init.zeros_(parameter)
    monkeypatch.setattr(loop, "CycleGAN", lambda *_: start)
    train(config.model_copy(update={"steps": 12, "log_every": 1, "learning_rate": 1e-12}))
    assert any(message.startswith("G makes nearly the same photo") for message in caplog.messages)


def test_a_starving_loader(config: TrainConfig, monkeypatch, caplog) -> None:
    batches = loop.batches

    def slow(*arguments: object) -> Iterator[Batch]:
        for batch in batches(*arguments):  # type: ignore[arg-type]
            time.sleep(0.5)
            yield batch

    monkeypatch.setattr(loop, "batches", slow)
    train(config)
    said = [message for message in caplog.messages if "of the time is spent waiting for data" in message]
    assert len(said) == 1
    assert "raise data.workers (now 0)" in said[0]
    lines = (config.run / "speed.csv").read_text().splitlines()
    assert lines[0] == "step,images_per_second,waiting"
    assert [line.split(",")[0] for line in lines[1:]] == ["2", "4"]
    assert float(lines[2].split(",")[2]) > 0.3
