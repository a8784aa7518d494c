"""The wheel: built, installed away from the checkout, and used as a newcomer would."""

import os
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
SCRIPTS = (
    "sketch-photo",
    "sketch-photo-demo",
    "sketch-photo-train",
    "sketch-photo-export",
    "sketch-photo-pack",
    "sketch-photo-report",
)


def done(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run a command; its output, or a failed test with its errors."""
    ran = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def bin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scripts of an environment that has the wheel, and of this one the packages that it depends on."""
    folder = tmp_path_factory.mktemp("install")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    done(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, ROOT, cwd=folder)
    venv.create(folder / "venv")
    (wheel,) = folder.glob("cyclegan-*.whl")
    python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    done(*pip, "--python", python, "install", "--no-deps", wheel, cwd=folder)
    packages = next((folder / "venv").rglob("site-packages"))
    ours = next(path for path in sys.path if path.endswith("site-packages"))
    (packages / "zz-dependencies.pth").write_text(f"{ours}\n")  # after the wheel: an editable install here must not win
    return python.parent


def test_every_script_helps(bin_folder: Path, tmp_path: Path) -> None:
    for script in SCRIPTS:
        assert "usage:" in done(bin_folder / script, "--help", cwd=tmp_path)


def test_an_installed_package_translates(
    bin_folder: Path, tmp_path: Path, weights_folder: Path, make_drawing: Callable[..., Image.Image]
) -> None:
    make_drawing().save(tmp_path / "drawing.png")
    command = ("sketch-to-photo", "drawing.png", "photo.png", "--weights", weights_folder)
    done(bin_folder / "sketch-photo", *command, cwd=tmp_path)
    with Image.open(tmp_path / "photo.png") as photo:
        assert photo.size == (64, 64)
    code = "import cyclegan.demo.page as page; print(page.__file__); assert (page.EXAMPLES / 'photos').is_dir()"
    where = done(bin_folder / "python", "-c", code, cwd=tmp_path)
    assert str(ROOT) not in where
    assert "smoke" in done(bin_folder / "sketch-photo-train", "--help", cwd=tmp_path)


@pytest.mark.parametrize("program", ["main", "export_main"])
def test_training_without_its_extra_is_one_sentence(bin_folder: Path, tmp_path: Path, program: str) -> None:
    """The environment here has all extras, so they are hidden: a plain `pip install .` has none."""
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('matplotlib', 'torchmetrics', 'torchvision')))\n"
        f"from cyclegan.training.cli import {program}\n"
        f"sys.exit({program}(sys.argv[1:]))\n"
    )
    assert "usage:" in done(bin_folder / "python", "-c", code, "--help", cwd=tmp_path)
    command = [str(bin_folder / "python"), "-c", code, "smoke", *["weights"] * (program == "export_main")]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert ran.stderr.startswith("Training needs torchvision")
    assert ran.stderr.count("\n") == 1
