"""The commands in train/README.md: each is parsed as it stands, and what it reads is found where the guide says."""

import re
import shlex
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image
from torch.distributed.run import get_args_parser

from cyclegan.__main__ import _parser as command_line
from cyclegan.config import DataConfig, Frozen, LossConfig, TrainConfig, load_train_config
from cyclegan.training import cli
from cyclegan.training.files import find_images
from tests.pictures import save

GUIDE = (Path(__file__).parents[1] / "train" / "README.md").read_text(encoding="utf-8")
BLOCKS = "".join(re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)).splitlines()
INLINE = re.findall(r"`(python -m [^`]+)`", GUIDE)


OTHERS = {"train.pack": cli.pack_main, "train.export": cli.export_main, "train.report": cli.report_main}


def settings(words: list[str]) -> TrainConfig:
    """What ``python -m train WORDS`` would train."""
    overrides = [value for option, value in pairwise(words) if option == "--set"]
    return load_train_config(cli._config_file(words[0]), overrides)


@pytest.mark.parametrize("line", [*BLOCKS, *INLINE])
def test_every_command_is_understood(line: str, monkeypatch) -> None:
    monkeypatch.setattr(cli, "_exit_code", lambda *_, **__: 0)
    words = shlex.split(line)
    if words[0] == "torchrun":
        options = get_args_parser().parse_args(words[1:])
        assert (options.module, options.training_script) == (True, "train")
        words = ["python", "-m", "train", *options.training_script_args]
    assert words[0] == "python"
    if words[1] == "app.py":
        assert words[2] == "--weights"  # tests/test_app.py starts it so
        return
    module, *rest = words[2:]
    if module == "cyclegan":
        command_line().parse_args(rest)
    elif module == "train":
        assert cli.main(rest) == 0
        assert settings(rest).steps
    else:
        assert OTHERS[module](rest) == 0


@pytest.mark.parametrize(
    ("data", "layout"),
    [
        ("horse2zebra", "trainA are sketches (domain X), trainB photos (domain Y), unpaired"),
        (
            "edges2shoes",
            "pictures A|B: the left halves are sketches, the right ones their photos, those of val held out",
        ),
        ("drawings", "pairs: each photo with the sketch of its name"),
        ("list.csv", "pairs of list.csv"),
        ("my_photos", "photos"),
    ],
)
def test_data_of_the_guide_is_read_as_it_says(
    tmp_path: Path, monkeypatch, make_photo: Callable[..., Image.Image], data: str, layout: str
) -> None:
    monkeypatch.chdir(tmp_path)
    both = {"horse2zebra": ["trainA", "trainB", "testA", "testB"], "edges2shoes": ["train", "val"]}
    for folder in (*(f"{name}/{part}" for name, parts in both.items() for part in parts), "drawings", "photos"):
        for number in range(2):
            wide = (96, 48) if "edges" in folder else (48, 48)
            save(make_photo(wide, number), tmp_path / folder / f"{number}.png")
    save(make_photo(), tmp_path / "my_photos" / "1.png")
    rows = ["photos/0.png,drawings/0.png,train", "photos/1.png,drawings/1.png,test"]
    (tmp_path / "list.csv").write_text("\n".join(["photo,sketch,split", *rows]))
    line = next(line for line in BLOCKS if line.startswith("python -m train ") and f"={data}" in line)
    assert find_images(settings(shlex.split(line)[3:]).data).layout.startswith(layout)


def test_the_defaults_in_the_guide_are_those_of_the_config() -> None:
    models: dict[str, type[Frozen]] = {"": TrainConfig, "data": DataConfig, "loss": LossConfig}
    rows = re.findall(r"^\| (`.+?) \| (.+?) \| .+ \|$", GUIDE.partition("## Settings worth touching")[2], re.MULTILINE)
    assert len(rows) > 10
    for names, values in rows:
        for name, value in zip(re.findall("`(.+?)`", names), values.split(", "), strict=True):
            group, _, field = name.rpartition(".")
            default = models[group].model_fields[field]
            shown = "required" if default.is_required() else str(default.default)
            assert value.strip('"') == (shown.lower() if shown in ("True", "False") else shown), name
