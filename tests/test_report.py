"""The page of a run, and what it is made of."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from cyclegan.config import TrainConfig
from cyclegan.training.log import curves, read_rows
from cyclegan.training.loop import train
from train.report import main as report

pytest_plugins = ["tests.training_fixtures"]


def test_a_run_as_one_page(config: TrainConfig, caplog) -> None:
    train(config.model_copy(update={"sample_minutes": 1e-9}))
    (config.run / "weights").mkdir()
    (config.run / "weights" / "evaluation.json").write_text('{"photos": {"kid": 0.0123, "note": "<b>"}}')
    assert report([str(config.run)]) == 0
    page = (config.run / "report.html").read_text()
    assert not re.search(r'(src|href)="(?!data:|#)', page)  # nothing beside it
    assert {*re.findall("<h2>(.*?)</h2>", page)} == {
        *("Samples", "Losses", "Held-out samples", "Speed", "Scores", "Settings", "Environment")
    }
    sheets = json.loads(page.partition("const sheets = ")[2].partition("\n")[0])
    assert [step for step, _ in sheets] == [1, 2, 3, 4]
    assert page.count("<svg") == page.count("</svg>") == 3
    assert "feature matching" in page
    assert "photos.kid" in page
    assert "0.0123" in page
    assert "<b>" not in page
    assert "data.batch" in page
    assert "Step 4 of 4, " in page


def test_hours_are_those_whose_speed_is_known(tmp_path: Path) -> None:
    """A run may have begun before speeds were written."""
    (tmp_path / "config.json").write_text('{"steps": 9000, "log_every": 100, "data": {"batch": 36}}')
    (tmp_path / "losses.csv").write_text("step,loss\n8200,1\n")
    (tmp_path / "speed.csv").write_text("step,images_per_second,waiting\n8100,1,0\n8200,2,0\n")
    assert report([str(tmp_path), "--out", str(tmp_path / "page.html")]) == 0
    assert "1.5 hours of training" in (tmp_path / "page.html").read_text()


def test_a_curve_of_one_point_is_seen() -> None:
    one, two = (curves([{"step": float(n), "loss": 1.0} for n in range(count)]) for count in (1, 2))
    assert one is not None
    assert two is not None
    assert [figure.axes[0].lines[0].get_marker() for figure in (one, two)] == [".", ""]


def test_a_run_that_has_only_begun_has_a_page_and_a_folder_has_none(tmp_path: Path, caplog) -> None:
    assert report([str(tmp_path)]) == 2
    assert "There is no run in" in caplog.text
    (tmp_path / "config.json").write_text('{"steps": 5}')
    assert report([str(tmp_path), "--out", str(tmp_path / "page.html")]) == 0
    assert "Step 0 of 5." in (tmp_path / "page.html").read_text()
    assert report([str(tmp_path), "--out", str(tmp_path / "none" / "page.html")]) == 2


def test_held_out_scores_and_speed_have_their_rows(config: TrainConfig) -> None:
    train(config.model_copy(update={"sample_minutes": 1e-9}))
    rows = read_rows(config.run / "held_out.csv")
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert all(0 < row[name] < 2 for row in rows for name in ("cycle/photo", "cycle/sketch", "paired/photo"))
    assert [row["step"] for row in read_rows(config.run / "speed.csv")] == [2, 4]


def test_tensorboard_has_losses_rates_norms_speed_and_sheets(config: TrainConfig) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(config)
    events = EventAccumulator(str(config.run / "tensorboard"))
    events.Reload()
    assert {
        *("cycle/photo", "learning_rate/generators", "gradient_norm/discriminators", "speed/images_per_second"),
        "held_out_cycle/photo",
    } <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("discriminator/photo")] == [2, 4]
    assert events.Tags()["images"] == ["samples"]


def test_training_runs_without_tensorboard(config: TrainConfig, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    train(config)
    assert not (config.run / "tensorboard").exists()


def test_as_it_is_typed(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    command = [sys.executable, "-m", "train.report", str(tmp_path)]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "report.html" in done.stderr


class FakeRun:
    def __init__(self, settings: dict):
        self.settings, self.rows, self.finished = settings, list[dict](), False

    def define_metric(self, name: str, step_metric: str) -> None:
        assert (name, step_metric) == ("*", "step")

    def log(self, row: dict) -> None:
        self.rows.append(row)

    def finish(self) -> None:
        self.finished = True


@pytest.fixture
def wandb(monkeypatch) -> SimpleNamespace:
    """The package in small: what it is told, in `runs`."""
    runs: list[FakeRun] = []

    class Error(Exception):
        pass

    def init(**settings: object) -> FakeRun:
        if settings["project"] == "closed":
            raise Error("not logged in")
        runs.append(FakeRun(settings))
        return runs[-1]

    fake = SimpleNamespace(init=init, Settings=dict, Image=Path, errors=SimpleNamespace(Error=Error), runs=runs)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return fake


def test_weights_and_biases_is_told_if_asked_and_a_resumed_run_goes_on_there(config: TrainConfig, wandb) -> None:
    train(config)
    assert not wandb.runs
    shown = config.model_copy(update={"run": config.run.with_name("shown"), "wandb": "shoes", "steps": 2})
    train(shown)
    train(shown.model_copy(update={"steps": 4}), resume=True)
    first, second = wandb.runs
    assert (first.settings["project"], first.settings["name"], first.settings["dir"]) == ("shoes", "shown", shown.run)
    assert first.settings["config"]["data.batch"] == 2
    assert first.settings["id"] == second.settings["id"]
    assert [row["step"] for run in (first, second) for row in run.rows if "cycle/photo" in row] == [2, 4]
    assert any("learning_rate/generators" in row for row in first.rows)
    assert second.rows[-1].keys() == {"step", *(name for name in second.rows[-1] if name.startswith("held_out_"))}
    assert {"step": 4, "samples": shown.run / "samples" / "0000004.jpg"} in second.rows
    assert first.finished
    assert second.finished


@pytest.mark.parametrize("project", ["closed", "missing"])
def test_a_run_that_weights_and_biases_does_not_take_is_trained(
    config: TrainConfig, wandb, monkeypatch, caplog, project: str
) -> None:
    if project == "missing":
        monkeypatch.setitem(sys.modules, "wandb", None)
    assert train(config.model_copy(update={"wandb": project})).global_step == 4
    (said,) = (record.getMessage() for record in caplog.records if record.getMessage().startswith("wandb"))
    assert "not logged in" in said or "pip install wandb" in said
