"""python -m train and python -m train.export, as a user types them: the smoke config, start to finish."""

import json
import subprocess
import sys
from pathlib import Path

import torch
from PIL import Image

from cyclegan.config import load_train_config
from cyclegan.hub import load_weights
from cyclegan.models import Generator
from cyclegan.weights import FILES
from train.__main__ import main
from train.export import main as export

ROOT = Path(__file__).parents[1]
SMOKE = "train/configs/smoke.toml"


def test_smoke_training_then_export_then_fine_tuning(tmp_path: Path) -> None:
    run, weights = tmp_path / "run", tmp_path / "weights"
    command = [sys.executable, "-m", "train", SMOKE, "--set", f"run={run}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "img/s" in done.stderr
    assert "discriminator/photo=" in done.stderr
    assert {"checkpoint.pt", "losses.csv", "losses.png", "samples", "config.json"} <= {p.name for p in run.iterdir()}

    assert export([str(run), str(weights)]) == 0
    for file in FILES.values():
        assert torch.load(weights / file, weights_only=True)
    loaded = load_weights(weights, discriminators=True)
    assert loaded.config.image_size == 64
    assert loaded.config.training["steps"] == 12
    assert not {"photos", "sketches", "scenes"} & loaded.config.training["data"].keys()  # folders of this machine
    assert (weights / "losses.png").exists()
    sheets = sorted(path.stem for path in (weights / "learning").iterdir())
    assert sheets[-1] == f"{loaded.config.training['images']:07d}"

    tuned = tmp_path / "tuned"
    settings = [f"run={tuned}", f"start_from={weights}", "steps=1", "learning_rate=1e-9"]
    assert main([SMOKE, *(word for setting in settings for word in ("--set", setting))]) == 0
    assert export([str(tuned), str(tmp_path / "tuned_weights")]) == 0
    again = load_weights(tmp_path / "tuned_weights")
    assert again.config.training["images"] == 2
    assert again.config.training["total_images"] == loaded.config.training["total_images"] + 2 == 26
    assert again.config.training["started_from"] == "weights/"
    assert loaded.config.training["started_from"] is None
    key = "last.3.weight"
    assert torch.allclose(again.networks["G"][key], loaded.networks["G"][key], atol=1e-3)


def test_dry_run_counts_and_writes_a_sheet_alone(tmp_path: Path, caplog) -> None:
    with caplog.at_level("INFO"):
        assert (
            main([SMOKE, "--set", f"run={tmp_path / 'run'}", "--set", "data.photos=examples/photos", "--dry-run"]) == 0
        )
    assert "photos to train on, 0 photos kept back (photos)." in caplog.text
    assert "generator_G.pth" in caplog.text
    assert not (tmp_path / "run").exists()
    with Image.open(tmp_path / "run-samples.jpg") as sheet:
        assert sheet.width > 5 * 64
        assert sheet.height > 8 * 64


def test_mistakes_are_one_sentence_and_exit_code_2(tmp_path: Path, caplog) -> None:
    for arguments in (
        [SMOKE, "--set", "data.photos=nowhere", "--set", f"run={tmp_path}"],
        [SMOKE, "--set", "steps=0"],
        ["nothing.toml"],
        [SMOKE, "--set", f"run={tmp_path}", "--resume"],
        [SMOKE, "--set", f"run={tmp_path}", "--set", f"start_from={tmp_path / 'none'}"],
    ):
        caplog.clear()
        assert main(arguments) == 2, arguments
        (record,) = (record for record in caplog.records if record.levelname == "ERROR")
        assert len(record.getMessage()) > 20
        assert "Traceback" not in record.getMessage()


def test_export_of_nothing_says_so(tmp_path: Path, caplog) -> None:
    assert export([str(tmp_path), str(tmp_path / "weights")]) == 2
    assert "There is no run in" in caplog.text
    assert not (tmp_path / "weights").exists()


def test_export_of_a_checkpoint_of_other_networks_says_so(tmp_path: Path, caplog) -> None:
    run = tmp_path / "run"
    assert main([SMOKE, "--set", f"run={run}", "--set", "steps=1"]) == 0
    settings = json.loads((run / "config.json").read_text())
    settings["generator"]["top_channels"] += 1
    (run / "config.json").write_text(json.dumps(settings))
    assert export([str(run), str(tmp_path / "weights")]) == 2
    assert "does not fit the config's networks" in caplog.text
    assert not (tmp_path / "weights").exists()


def test_export_of_a_run_with_old_settings_names_the_new_ones(tmp_path: Path, caplog) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for content, sentence in (
        ('{"critic_pace": 2}', "critic_pace is called discriminator_lr_ratio now"),
        ("{", "config.json is damaged"),
    ):
        (run / "config.json").write_text(content)
        assert export([str(run), str(tmp_path / "weights")]) == 2
        assert sentence in caplog.text
        assert "Traceback" not in caplog.text


def test_configs_are_found_by_name(tmp_path: Path, caplog) -> None:
    assert main(["smoke", "--set", f"run={tmp_path / 'run'}", "--dry-run"]) == 0
    assert main(["smoky"]) == 2


def test_weights_carry_what_trained_them_but_no_paths(tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main([SMOKE, "--set", f"run={run}", "--set", "steps=1"]) == 0
    assert export([str(run), str(tmp_path / "weights")]) == 0
    config = json.loads((tmp_path / "weights" / "config.json").read_text())
    assert config["training"]["images"] == 2
    assert str(tmp_path) not in json.dumps(config)


def test_plain_trains_two_domains_in_colour_as_published(tmp_path: Path, make_photo, caplog) -> None:
    """Crops that are mirrored or not, F's results in colour, the six kinds of losses of the paper; then an export."""
    for domain, turn in (("trainA", 0), ("trainB", 9)):
        (tmp_path / "zebras" / domain).mkdir(parents=True)
        for number in range(2):
            make_photo((80, 70), number + turn).save(tmp_path / "zebras" / domain / f"{number}.png")
    run = tmp_path / "run"
    settings = ["data.size=64", "data.crop_from=72", "data.batch=2", "data.workers=0", "steps=2", "log_every=1"]
    settings += ["generator.channels=[4, 8]", "generator.decoder_blocks=[0]", "discriminator.channels=[4]"]
    settings += [f"run={run}", f"data.photos={tmp_path / 'zebras'}", "precision=float32"]
    with caplog.at_level("INFO"):
        assert main(["plain", *(word for setting in settings for word in ("--set", setting))]) == 0
    assert "2 photos and 2 sketches to train on" in caplog.text
    header = (run / "losses.csv").read_text().splitlines()[0].split(",")
    kinds = ("adversarial", "cycle", "identity", "discriminator")
    assert set(header) == {"step", *(f"{kind}/{domain}" for kind in kinds for domain in ("photo", "sketch"))}
    assert export([str(run), str(tmp_path / "weights")]) == 0
    loaded = load_weights(tmp_path / "weights")
    F = Generator(loaded.config.generator.of("F"))
    F.load_state_dict(loaded.networks["F"])
    drawn = F.eval()(torch.rand(1, 3, 64, 64) * 2 - 1)
    assert not torch.equal(drawn[:, 0], drawn[:, 1])


def test_plain_has_the_settings_of_the_paper() -> None:
    config = load_train_config(ROOT / "train" / "configs" / "plain.toml")
    assert (config.data.crop_from, config.data.size, config.loss.gan_mode, config.pool) == (286, 256, "lsgan", 50)
    assert (config.loss.cycle_photo, config.loss.cycle_sketch, config.loss.identity) == (10, 10, 5)
    assert (config.learning_rate, config.decay_from, config.betas, config.schedule) == (
        2e-4,
        0.5,
        (0.5, 0.999),
        "linear",
    )
