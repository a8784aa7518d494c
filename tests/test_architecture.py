"""The architecture: folders import downwards, and some packages are imported in one place only."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What each part of the package may import besides itself. Modules of the top folder are named one by one; training and
# inference share everything below them, and neither knows the other.
BASE = {"config", "images", "devices", "losses", "models", "weights", "hub"}
ALLOWED = {
    "config": set(),
    "images": set(),
    "devices": set(),
    "engine": set(),
    "losses": set(),
    "models": {"config"},
    "weights": {"config", "models"},
    "hub": {"config", "weights"},
    "generators": {"config", "devices", "engine", "images", "models", "weights"},
    "drawing": {"images"},
    "colour": {"images", "drawing"},
    "inference": {"config", "images", "weights", "hub", "generators", "drawing", "colour"},
    "training": BASE | {"drawing", "colour"},
    "evaluation": BASE | {"drawing", "colour", "generators", "inference", "training"},
    "publishing": BASE | {"inference"},
    "__init__": {"images", "inference", "weights"},
    "demo": BASE | {"drawing", "colour", "generators", "inference", "publishing"},
    "__main__": BASE | {"__init__", "drawing", "inference", "evaluation", "publishing"},
}
OPTIONAL = {"evaluation.features", "training.image_table"}  # import packages of extras when used, and say if they lack
ONLY_IN = {
    "gradio": {"cyclegan/demo/"},
    "huggingface_hub": {"cyclegan/hub.py", "cyclegan/publishing/card.py", "cyclegan/publishing/upload.py"},
    "torch.distributed": {"cyclegan/training/processes.py"},
}
DISTRIBUTIONS = {
    "markdown_it": "markdown-it-py",
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "huggingface_hub": "huggingface-hub",
}


def sources(root: Path = ROOT) -> dict[str, Path]:
    """Every Python file of the project by its path below `root`."""
    files = [
        *root.glob("*.py"),
        *(path for top in ("cyclegan", "train", "tests") for path in root.glob(f"{top}/**/*.py")),
    ]
    return {path.relative_to(root).as_posix(): path for path in sorted(files)}


def imports(path: Path) -> set[str]:
    """Dotted names that a file imports anywhere, but for types; `from cyclegan import images` is cyclegan.images."""
    names: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names}
    return names


def module_path(module: str) -> Path:
    path = ROOT / "cyclegan" / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def package_imports(root: Path = ROOT) -> dict[str, set[str]]:
    """The package's modules by dotted name (``training.data``), and which of the others each imports."""
    package = root / "cyclegan"
    names = {
        path.relative_to(package).with_suffix("").as_posix().replace("/", "."): path for path in package.rglob("*.py")
    }
    modules = {name.removesuffix(".__init__"): path for name, path in names.items()}

    def imported(name: str) -> str:
        parts = name.split(".")[1:]
        return next((".".join(parts[:n]) for n in (2, 1) if ".".join(parts[:n]) in modules), "__init__")

    return {
        module: {imported(name) for name in imports(path) if name.startswith("cyclegan.")} - {module}
        for module, path in modules.items()
    }


def upward(root: Path = ROOT) -> list[str]:
    """Imports of the package that the table does not allow."""
    return [
        f"{module} imports {name}"
        for module, names in package_imports(root).items()
        for name in sorted(names)
        if name.split(".")[0] not in ALLOWED.get(module.split(".")[0], set()) | {module.split(".")[0]}
    ]


def test_imports_run_one_way() -> None:
    assert upward() == []
    TopologicalSorter(package_imports()).prepare()  # raises at a cycle
    TopologicalSorter(ALLOWED).prepare()


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("images", "from cyclegan.models import Generator"),
        ("config", "import cyclegan.colour.hints"),
        ("models", "def late():\n    from cyclegan import inference"),
        ("models", "from cyclegan.colour.colour_map import colour_maps"),
        ("losses", "from cyclegan.training.trainer import CycleGAN"),
        ("training/trainer", "from cyclegan.inference import Translator"),
        ("training/data", "from cyclegan.inference import Translator"),
        ("inference", "from cyclegan.training import checkpoint"),
        ("drawing/inking", "from cyclegan.colour import hints"),
        ("colour/hints", "from cyclegan import Translator"),
        ("newcomer", "from cyclegan import config"),
    ],
)
def test_an_upward_import_is_found(tmp_path: Path, module: str, line: str) -> None:
    for name in ("config", "images", "models", "losses", "inference", "hub", "colour/hints", "colour/colour_map"):
        path = tmp_path / "cyclegan" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("from cyclegan import config\n" * (name == "models"))
    for name in ("training/checkpoint", "training/trainer", "training/data", "drawing/inking"):
        (tmp_path / "cyclegan" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cyclegan" / f"{name}.py").touch()
    assert upward(tmp_path) == []
    (tmp_path / "cyclegan" / f"{module}.py").write_text(line)
    assert len(upward(tmp_path)) == 1


def test_some_packages_are_imported_in_one_place() -> None:
    for name, path in sources().items():
        for package in (
            one for one in ONLY_IN if any(f"{imported}.".startswith(f"{one}.") for imported in imports(path))
        ):
            assert name.startswith((*ONLY_IN[package], "tests/")), f"{name} imports {package}"


def test_the_product_knows_no_tests_and_no_scripts() -> None:
    for name, path in sources().items():
        roots = {imported.split(".")[0] for imported in imports(path)}
        assert "" not in roots, f"{name} has a relative import"
        if not name.startswith("tests/"):
            assert "tests" not in roots, name
        if name.startswith("cyclegan/"):
            assert not roots & {"train", "app"}, name
        if name.startswith(("app.py", "cyclegan/demo/")):
            assert "train" not in roots, name


def test_F_is_a_network() -> None:  # noqa: N802
    for name, path in sources().items():
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"^\s*(import|from) .*\bfunctional as F\b", text, re.MULTILINE), name


def test_requirements_are_what_the_app_and_the_command_line_import() -> None:
    """requirements.txt is all that a Space installs: nothing may be missing there, and nothing too much."""
    graph = package_imports()
    page = [ROOT / "app.py", *(ROOT / "cyclegan" / "demo").glob("*.py")]
    called = {name.removeprefix("cyclegan.") for path in page for name in imports(path) if name.startswith("cyclegan.")}
    called = {name if name in graph else name.rpartition(".")[0] for name in called}
    reached, waiting = set[str](), {"__init__", "__main__"} | called & graph.keys()
    while waiting:
        module = waiting.pop()
        reached.add(module)
        waiting |= graph[module] - reached - OPTIONAL
    files = [*page, *(module_path(module) for module in reached)]
    used = {name.split(".")[0] for path in files for name in imports(path)}
    used -= {*sys.stdlib_module_names, "cyclegan"}
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    listed = {re.split(r"[^\w.-]", line)[0] for line in lines if line and not line.startswith(("#", "-"))}
    assert listed == {DISTRIBUTIONS.get(name, name) for name in used}


def test_importing_the_package_changes_nothing_for_the_process() -> None:
    """Environment, warnings and logging belong to the program that imports a library."""
    code = (
        "import os, warnings, logging, torch, cv2, numpy, PIL.Image, pydantic, huggingface_hub, safetensors.torch\n"
        "def state():\n"
        "    return dict(os.environ), list(warnings.filters), logging.getLogger().level, torch.get_num_threads()\n"
        "before = state()\n"
        "import cyclegan\n"
        "assert state() == before, [pair for pair in zip(before, state()) if pair[0] != pair[1]]\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
