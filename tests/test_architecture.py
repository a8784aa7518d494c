"""The house keeps its order: who may import whom, which package lives where, how long a file may be."""

import ast
import re
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAX_LINES = 300

# Imports run downwards. Modules of the package that are not named here are the core: above the base, below both arms.
BASE = {"config", "images"}
TRAINING = {"checkpoint", "tracking", "training", "loop"}
TRANSLATING = {
    "hub",
    "inference",
    "evaluation",
    "drawings",
    "card",
    "publishing",
    "realism",
    "variations",
    "timelapse",
    "__main__",
    "__init__",
}
OPTIONAL = {"features"}  # asks for packages of train/requirements.txt, when used, and says so where they are missing
ONLY_IN = {
    "gradio": {"demo/"},
    "huggingface_hub": {"cyclegan/hub.py", "cyclegan/publishing/card.py", "cyclegan/publishing/upload.py"},
    "accelerate": {"cyclegan/training/checkpoint.py", "cyclegan/training/trainer.py"},
}
DISTRIBUTIONS = {"PIL": "pillow", "cv2": "opencv-python-headless", "huggingface_hub": "huggingface-hub"}


def sources(root: Path = ROOT) -> dict[str, Path]:
    """Every Python file of the project by its path below `root`."""
    files = [
        *root.glob("*.py"),
        *(path for top in ("cyclegan", "demo", "train", "tests") for path in root.glob(f"{top}/**/*.py")),
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


def package_imports(root: Path = ROOT) -> dict[str, set[str]]:
    """The package's modules, and which of the others each imports."""
    modules = {path.stem: path for path in (root / "cyclegan").glob("*.py")}

    def imported(name: str) -> str:
        module = name.split(".")[1]
        return module if module in modules else "__init__"

    return {
        module: {imported(name) for name in imports(path) if name.startswith("cyclegan.")}
        for module, path in modules.items()
    }


def upward(root: Path = ROOT) -> list[str]:
    """Imports of the package that go upwards, or from one arm to the other."""
    graph = package_imports(root)
    core = graph.keys() - BASE - TRAINING - TRANSLATING
    allowed = {
        **dict.fromkeys(BASE, BASE),
        **dict.fromkeys(core, BASE | core),
        **dict.fromkeys(TRAINING, BASE | core | TRAINING),
        **dict.fromkeys(TRANSLATING, BASE | core | TRANSLATING - {"__init__"}),
    }
    return [f"{module} imports {name}" for module in graph for name in sorted(graph[module] - allowed[module])]


def test_imports_run_one_way() -> None:
    assert upward() == []
    TopologicalSorter(package_imports()).prepare()  # raises at a circle


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("images", "from cyclegan.models import Generator"),
        ("config", "import cyclegan.training.image_pool"),
        ("models", "def late():\n    from cyclegan import inference"),
        ("losses", "from cyclegan.training.trainer import CycleGAN"),
        ("training", "from cyclegan.hub import save_weights"),
        ("inference", "from cyclegan import checkpoint"),
        ("pool", "from cyclegan import Translator"),
    ],
)
def test_an_upward_import_is_found(tmp_path: Path, module: str, line: str) -> None:
    (tmp_path / "cyclegan").mkdir()
    for name in [*BASE, *TRAINING, *TRANSLATING, "models", "losses", "pool"]:
        (tmp_path / "cyclegan" / f"{name}.py").write_text("from cyclegan import config\n" * (name == "models"))
    assert upward(tmp_path) == []
    (tmp_path / "cyclegan" / f"{module}.py").write_text(line)
    assert len(upward(tmp_path)) == 1


def test_some_packages_have_one_room() -> None:
    for name, path in sources().items():
        for package in {imported.split(".")[0] for imported in imports(path)} & ONLY_IN.keys():
            assert name.startswith((*ONLY_IN[package], "tests/")), f"{name} imports {package}"


def test_the_product_knows_no_tests_and_no_scripts() -> None:
    for name, path in sources().items():
        roots = {imported.split(".")[0] for imported in imports(path)}
        assert "" not in roots, f"{name} has a relative import"
        if not name.startswith("tests/"):
            assert "tests" not in roots, name
        if name.startswith("cyclegan/"):
            assert not roots & {"train", "app", "demo"}, name
        if name.startswith(("app.py", "demo/")):
            assert "train" not in roots, name


def test_files_are_short_and_F_is_a_network() -> None:  # noqa: N802
    for name, path in sources().items():
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= MAX_LINES, f"{name} is two rooms"
        assert not re.search(r"^\s*(import|from) .*\bfunctional as F\b", text, re.MULTILINE), name


def test_requirements_are_what_the_app_and_the_command_line_import() -> None:
    """requirements.txt is all that a Space installs: nothing may be missing there, and nothing too much."""
    graph = package_imports()
    page = [ROOT / "app.py", *(ROOT / "demo").glob("*.py")]
    called = {name.split(".")[1] for path in page for name in imports(path) if name.startswith("cyclegan.")}
    reached, waiting = set[str](), {"__init__", "__main__"} | called & graph.keys()
    while waiting:
        module = waiting.pop()
        reached.add(module)
        waiting |= graph[module] - reached - OPTIONAL
    files = [*page, *(ROOT / "cyclegan" / f"{module}.py" for module in reached)]
    used = {name.split(".")[0] for path in files for name in imports(path)}
    used -= {*sys.stdlib_module_names, "cyclegan", "demo"}
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    listed = {re.split(r"[^\w.-]", line)[0] for line in lines if line and not line.startswith(("#", "-"))}
    assert listed == {DISTRIBUTIONS.get(name, name) for name in used}
