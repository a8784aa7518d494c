"""Settings: read, overridden, and refused with one sentence."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from cyclegan.config import RENAMED, ConfigError, LossConfig, TrainConfig, load_train_config
from cyclegan.weights import read_config

CONFIGS = sorted((Path(__file__).parents[1] / "train" / "configs").glob("*.toml"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.toml"
    path.write_text('run = "runs/x"\nsteps = 10\n[data]\nphotos = "here"\n')
    return path


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_config_is_valid_and_has_a_header(path: Path) -> None:
    assert load_train_config(path).steps > 0
    header = path.read_text().split("\n\n")[0]
    assert all(
        word in header for word in (f"python -m train train/configs/{path.name}", "Hardware", "Duration", "Result")
    )


def test_set_to_nothing_leaves_the_default(file: Path) -> None:
    assert load_train_config(file, ["data.sketches=drawings", "data.sketches="]).data.sketches is None
    assert load_train_config(file, ["ema=0.5", "ema="]).ema == TrainConfig.model_fields["ema"].default
    with pytest.raises(ConfigError, match="steps"):
        load_train_config(file, ["steps="])


def test_set_overrides_in_toml_syntax_or_as_bare_words(file: Path) -> None:
    config = load_train_config(
        file,
        ["data.photos=there", "loss.paired_photo=2.5", "generator.channels=[4, 8]", "generator.decoder_blocks=[0]"],
    )
    assert config.data.photos == Path("there")
    assert config.loss.paired_photo == 2.5
    assert config.generator.channels == (4, 8)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("data.fotos=x", "data.fotos: Extra inputs are not permitted"),
        ("steps=many", "steps: Input should be a valid integer"),
        ("seed=-1", "seed: Input should be greater than or equal to 0"),
        ("betas=[2, 3]", "betas.0: Input should be less than 1"),
        ("steps=-1", "steps: Input should be greater than 0"),
        ("loss.gan_mode=wgan", "loss.gan_mode: Input should be 'vanilla' or 'lsgan'"),
        ("generator.channels=[4, 8]", "decoder_blocks needs one entry"),
        ("steps", "--set takes key=value"),
        ("steps.more=1", "steps is a value, not a group"),
    ],
)
def test_bad_settings_are_named(file: Path, override: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence.replace("(", r"\(")):
        load_train_config(file, [override])


@pytest.mark.parametrize("content", [None, "steps = ", "\xff"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "run.toml"
    if content is not None:
        path.write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"Cannot read the config .*run\.toml"):
        load_train_config(path)


def test_each_loss_finds_its_weight() -> None:
    own = {"adversarial_sketch": 1.5, "adversarial_photo": 2, "cycle_sketch": 3, "cycle_photo": 4}
    weights = LossConfig(**own, identity=5, paired_sketch=6, paired_photo=7)
    for kind, sketch, photo in (
        ("adversarial", 1.5, 2),
        ("cycle", 3, 4),
        ("identity", 5, 5),
        ("paired", 6, 7),
        ("discriminator", 1, 1),
    ):
        assert weights.weight(f"{kind}/sketch") == sketch
        assert weights.weight(f"{kind}/photo") == photo


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_an_old_name_is_answered_with_the_new_one(file: Path, old: str, new: str) -> None:
    with pytest.raises(ConfigError, match=rf"run.toml: {re.escape(old)} is called {re.escape(new)} now\.$"):
        load_train_config(file, [f"{old}=1"])
    model: type[BaseModel] = TrainConfig
    *groups, name = new.split(".")
    for group in groups:
        model = model.model_fields[group].annotation  # type: ignore[assignment]
    assert name in model.model_fields


def test_runs_of_before_say_bfloat16_or_not(file: Path) -> None:
    for old, new in (("true", "bfloat16"), ("false", "float32")):
        assert load_train_config(file, [f"bfloat16={old}"]).precision == new
    with pytest.raises(ConfigError, match="bfloat16 is called precision now"):
        load_train_config(file, ["bfloat16=true", "precision=float16"])


def test_fine_tuning_is_of_the_networks_that_are_shipped() -> None:
    root = Path(__file__).parents[1]
    config = load_train_config(root / "train" / "configs" / "finetune.toml", [])
    shipped = read_config(root / "weights" / "config.json")
    assert (config.generator, config.discriminator) == (shipped.generator, shipped.discriminator)
