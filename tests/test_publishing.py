"""`publish` and `deploy-space`: what goes up, what the Hub then has, and that it comes down the same."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard, constants
from PIL import Image

from cyclegan.__main__ import main
from cyclegan.hub import load_weights
from cyclegan.inference import Translator
from cyclegan.publishing.card import model_card
from cyclegan.publishing.upload import PublishError, Upload, model_upload, send, space_upload
from cyclegan.weights import FILES
from tests.conftest import TINY
from tests.hub_server import Hub, UseHub

pytest_plugins = ["tests.hub_fixtures"]

Make = Callable[..., Image.Image]

SCORES = {
    "weights": "weights/",
    "photos": 200,
    "sketches": 0,
    "sketch_to_photo": {
        "KID ×1000": {"best": 0, "lines": 12.5, "floor": 1.0},
        "chroma ratio": {"best": 1, "lines": 0.9},
    },
    "photo_to_sketch": {"KID ×1000": {"best": 0, "photos": 7.25, "ceiling": 99.0}},
}


@pytest.fixture
def logged_in(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    monkeypatch.setenv("HF_TOKEN", hub.token)
    return hub


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of a Space in small, with some that it does not need."""
    root = tmp_path / "project"
    front = {"title": "Shoes", "sdk": "gradio", "app_file": "app.py", "thumbnail": "docs/thumbnail.png"}
    for name, content in {
        "README.md": f"---\n{yaml.safe_dump(front)}---\n\n# Shoes\n",
        "LICENSE": "MIT",
        "app.py": "pass",
        "requirements.txt": "gradio",
        "cyclegan/hub.py": "pass",
        "cyclegan/__pycache__/hub.pyc": "",
        "cyclegan/demo/web/canvas.js": "1",
        "examples/sketches/shoe.png": "",
        "docs/thumbnail.png": "",
        "docs/other.png": "",
        "tests/test_hub.py": "",
        "runs/checkpoint.pt": "",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    monkeypatch.setattr("cyclegan.publishing.upload.ROOT", root)
    return root


# --- weights --------------------------------------------------------------------------------------------------------


def test_what_was_published_gives_the_same_pixels(
    logged_in: Hub, weights_folder: Path, make_photo: Make, make_drawing: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["publish", "shoes/model", "--weights", str(weights_folder), "--private"]) == 0
    assert f"{logged_in.url}/shoes/model" in capsys.readouterr().out
    repository = logged_in.repositories["shoes/model"]
    assert repository.private
    assert repository.files.keys() == {".gitattributes", "README.md", "config.json", "samples.png", *FILES.values()}
    local, remote = Translator.from_pretrained(weights_folder), Translator.from_pretrained("shoes/model")
    assert "shoes/model on the Hugging Face Hub" in remote.description
    for direction, image in (("sketch_to_photo", make_drawing((90, 70))), ("photo_to_sketch", make_photo((90, 70)))):
        one, other = (getattr(translator, direction)(image) for translator in (local, remote))
        assert one.tobytes() == other.tobytes()
    assert load_weights("shoes/model", discriminators=True).networks.keys() == FILES.keys()


def test_publishing_again_replaces_and_renews_the_own_copy(logged_in: Hub, weights_folder: Path) -> None:
    arguments = ["publish", "shoes/model", "--weights", str(weights_folder)]
    assert main(arguments) == 0
    config = json.loads((weights_folder / "config.json").read_text())
    (weights_folder / "config.json").write_text(json.dumps({**config, "training": {"steps": 7}}))
    for name in ("D_X", "D_Y"):
        (weights_folder / FILES[name]).unlink()
    assert main(arguments) == 0
    assert load_weights("shoes/model").config.training == {"steps": 7}
    repository = logged_in.repositories["shoes/model"]
    assert repository.files.keys() == {
        ".gitattributes",
        "README.md",
        "config.json",
        "samples.png",
        FILES["G"],
        FILES["F"],
    }
    assert len(repository.commits) == 3  # its creation and two of ours


def test_dry_run_shows_files_and_card_and_asks_nobody(
    logged_in: Hub, weights_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["publish", "shoes/model", "--weights", str(weights_folder), "--dry-run"]) == 0
    printed = capsys.readouterr().out
    for name in ("README.md", "config.json", "samples.png", *FILES.values()):
        assert f" MB  {name}" in printed
    assert 'Translator.from_pretrained("shoes/model")' in printed
    assert logged_in.requests == []


def test_nothing_broken_is_published(logged_in: Hub, weights_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (weights_folder / FILES["F"]).write_bytes(b"broken")
    assert main(["publish", "shoes/model", "--weights", str(weights_folder)]) == 1
    assert "generator_F.pth is damaged" in capsys.readouterr().err
    for name in ("model", "shoes/my model", "shoes/model/v1", ""):
        assert main(["publish", name, "--weights", str(weights_folder)]) == 1
        assert "a name like owner/name" in capsys.readouterr().err
    assert main(["publish", "shoes/model", "--weights", "other/model"]) == 1
    assert "publish uploads a local one" in capsys.readouterr().err
    assert logged_in.requests == []


def test_refusals_are_one_sentence(hub: Hub, use_hub: UseHub, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = Upload("shoes/model", "model", "---\nlicense: mit\n---\n", {})
    with pytest.raises(PublishError, match=r"refuses your token \(401\); renew it with hf auth login\.$"):
        send(upload)
    hub.error = 500
    with pytest.raises(PublishError, match="could not be uploaded: the Hugging Face Hub is in trouble"):
        send(upload)
    use_hub("http://127.0.0.1:9")
    with pytest.raises(PublishError, match="could not be uploaded to the Hugging Face Hub"):
        send(upload)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(PublishError, match="HF_HUB_OFFLINE"):
        send(upload)


# --- the card -------------------------------------------------------------------------------------------------------


def test_the_card_is_valid_for_the_hub() -> None:
    config = TINY.model_copy(update={"training": {"steps": 800, "loss": {"paired": 2.0}}})
    text = str(model_card("shoes/model", config, ["owner/edges"], SCORES, "samples.png"))
    card = ModelCard(text)
    head = card.data.to_dict()
    assert {key: head[key] for key in ("library_name", "pipeline_tag", "license", "datasets")} == {
        "library_name": "pytorch",
        "pipeline_tag": "image-to-image",
        "license": "other",
        "datasets": ["owner/edges"],
    }
    assert "cyclegan" in head["tags"]
    (index,) = head["model-index"]
    assert [
        (result["dataset"]["config"], metric["type"], metric["value"])
        for result in index["results"]
        for metric in result["metrics"]
    ] == [
        ("sketch_to_photo", "kid_1000", 12.5),
        ("sketch_to_photo", "chroma_ratio", 0.9),
        ("photo_to_sketch", "kid_1000", 7.25),
    ]
    for part in ("| loss.paired | 2.0 |", "| KID ×1000 | 12.5 | 0 | 1 |", "](samples.png)", "## Limits"):
        assert part in text
    five = text.partition("```python\n")[2].partition("```")[0].strip()
    assert len(five.splitlines()) == 5
    compile(five, "card", "exec")


def test_a_card_without_scores_and_data() -> None:
    card = ModelCard(str(model_card("shoes/model", TINY)))
    assert not card.data.to_dict().keys() & {"model-index", "datasets"}
    assert "None were measured" in card.text


def test_scores_beside_the_weights_are_published(weights_folder: Path) -> None:
    (weights_folder / "evaluation.json").write_text(json.dumps(SCORES))
    upload = model_upload("shoes/model", weights_folder)
    assert "12.5" in upload.readme
    assert upload.files["evaluation.json"] == weights_folder / "evaluation.json"
    for wrong in ("", "[]", '{"sketch_to_photo": 1}'):
        (weights_folder / "evaluation.json").write_text(wrong)
        with pytest.raises(PublishError, match=r"evaluation\.json is not what"):
            model_upload("shoes/model", weights_folder)


def test_what_the_folder_says_of_its_data_is_published(weights_folder: Path) -> None:
    (weights_folder / "README.md").write_text("# Card\n\n## Data\n\nNine red boots.\n\n## Runs\n\nOne night.\n")
    readme = model_upload("shoes/model", weights_folder).readme
    assert "Nine red boots." in readme
    assert "One night." not in readme


def test_the_samples_are_a_picture(weights_folder: Path, tmp_path: Path) -> None:
    samples = model_upload("shoes/model", weights_folder).files["samples.png"]
    assert isinstance(samples, bytes)
    (tmp_path / "samples.png").write_bytes(samples)
    assert Image.open(tmp_path / "samples.png").width > 4 * TINY.image_size


# --- the Space ------------------------------------------------------------------------------------------------------

NEEDED = {
    *("README.md", "LICENSE", "app.py", "requirements.txt", "cyclegan/hub.py", "cyclegan/demo/web/canvas.js"),
    *("examples/sketches/shoe.png", "docs/thumbnail.png"),
}


def test_deploy_space_creates_and_updates(
    logged_in: Hub, project: Path, weights_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["deploy-space", "shoes/demo", "--weights", str(weights_folder)]
    assert main([*arguments, "--dry-run"]) == 0
    assert " MB  weights/generator_G.pth" in capsys.readouterr().out
    assert logged_in.requests == []
    assert main(arguments) == 0
    assert f"{logged_in.url}/spaces/shoes/demo" in capsys.readouterr().out
    space = logged_in.repositories["spaces/shoes/demo"]
    weights = {f"weights/{name}" for name in ("config.json", FILES["G"], FILES["F"])}
    assert space.files.keys() == NEEDED | weights | {".gitattributes"}
    head = yaml.safe_load(space.files["README.md"].decode().split("---")[1])
    assert head["sdk"] == "gradio"
    assert head["thumbnail"] == "https://huggingface.co/spaces/shoes/demo/resolve/main/docs/thumbnail.png"
    (project / "cyclegan" / "demo" / "web" / "canvas.js").rename(project / "cyclegan" / "demo" / "web" / "canvas.mjs")
    assert main(arguments) == 0
    assert "cyclegan/demo/web/canvas.mjs" in space.files
    assert "cyclegan/demo/web/canvas.js" not in space.files


def test_a_space_may_take_its_weights_from_the_hub(logged_in: Hub, project: Path) -> None:
    assert main(["deploy-space", "shoes/demo", "--weights", "shoes/model"]) == 0
    space = logged_in.repositories["spaces/shoes/demo"]
    assert space.files.keys() == NEEDED | {".gitattributes"}
    assert space.variables == {"CYCLEGAN_REPO": "shoes/model"}
    head = yaml.safe_load(space.files["README.md"].decode().split("---")[1])
    assert head["preload_from_hub"] == head["models"] == ["shoes/model"]


def test_what_a_space_cannot_be_made_of(logged_in: Hub, project: Path, weights_folder: Path) -> None:
    with (project / "cyclegan" / "demo" / "web" / "film.mp4").open("wb") as file:
        file.truncate(10_000_001)
    upload = space_upload("shoes/demo", weights_folder)
    assert upload.variables == {}
    assert "   10.00 MB  cyclegan/demo/web/film.mp4" in upload.listing()
    with pytest.raises(PublishError, match=r"cyclegan/demo/web/film\.mp4 is larger than 10 MB"):
        send(upload)
    (project / "README.md").unlink()
    with pytest.raises(PublishError, match=r"README\.md, whose head"):
        space_upload("shoes/demo", weights_folder)
    assert logged_in.requests == []
