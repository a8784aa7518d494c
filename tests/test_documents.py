"""What stands written agrees with the code: cards, requirements, Dockerfile, workflow, citation."""

import re
import tomllib
from pathlib import Path

import yaml

from cyclegan.publishing.card import read_scores, with_scores

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_model_card_has_the_scores_of_evaluation_json() -> None:
    card = text("weights/README.md")
    assert with_scores(card, read_scores(text("weights/evaluation.json"))) == card


def test_a_space_installs_what_the_package_depends_on() -> None:
    lines = [line for line in text("requirements.txt").splitlines() if line and not line.startswith("#")]
    assert sorted(lines) == sorted(PROJECT["dependencies"])


def test_the_version_stands_once() -> None:
    assert yaml.safe_load(text("CITATION.cff"))["version"] == PROJECT["version"]
    assert text("CHANGELOG.md").partition("\n## ")[2].splitlines()[0] == PROJECT["version"]


def test_the_dockerfile_copies_what_there_is_and_runs_the_page() -> None:
    docker = text("Dockerfile")
    assert f"FROM python:{PROJECT['requires-python'].removeprefix('>=')}-slim" in docker
    for line in re.findall(r"^COPY (.+)$", docker, re.MULTILINE):
        *sources, _ = line.split()
        assert all((ROOT / source).exists() for source in sources), line
    assert set(re.findall(r"^!(.+)$", text(".dockerignore"), re.MULTILINE)) == {
        source for line in re.findall(r"^COPY (.+)$", docker, re.MULTILINE) for source in line.split()[:-1]
    }
    assert 'CMD ["python", "app.py"]' in docker
    assert "USER visitor" in docker


def test_the_workflow_runs_the_supported_pythons_on_three_systems() -> None:
    matrix = yaml.safe_load(text(".github/workflows/ci.yml"))["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == ["3.11", "3.12", "3.13", "3.14"]
    assert {system.partition("-")[0] for system in matrix["os"]} == {"ubuntu", "macos", "windows"}


def test_links_between_documents_lead_somewhere() -> None:
    documents = ("README.md", "weights/README.md", "docs/training-log.md", "CONTRIBUTING.md", "examples/README.md")
    for document in (*documents, "train/README.md"):
        for target in re.findall(r"\]\((?!https?:|#)([^)\s]+)\)", text(document)):
            assert ((ROOT / document).parent / target.partition("#")[0]).exists(), f"{document}: {target}"


def test_the_shipped_config_names_no_folder_of_who_trained_it() -> None:
    assert not re.search(r'"(/|[A-Za-z]:\\\\|~)', text("weights/config.json"))


def test_the_cases_of_the_page_name_tests_that_exist() -> None:
    """docs/page.md: `file::test`, and further tests of the same file by their names alone."""
    file = ""
    named = re.findall(r"`(?:(test_\w+\.py)::)?(test_\w+)`", text("docs/page.md"))
    for found, test in named:
        file = found or file
        assert f"def {test}(" in text(f"tests/{file}"), f"{file}::{test}"
    assert len(named) > 30
