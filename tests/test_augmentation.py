"""A photo and its drawing → a sample: what recolouring changes, and what it leaves alone."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from cyclegan.config import DataConfig
from cyclegan.drawing.inking import Drawing, Stroke
from cyclegan.drawing.tracing import trace
from cyclegan.training.augmentation import TrainingSample, _recolouring, paired_sample, pasted

CONFIG = DataConfig(photos="photos", size=128, hint_prob=1, min_scale=1, unfinished_prob=0)


def forty_lessons() -> list[TrainingSample]:
    """Of one photo: a grey block with a soft edge and a black bar on white."""
    sheet = np.full((256, 256, 3), 255, np.uint8)
    sheet[70:190, 60:200] = 110
    sheet = np.asarray(cv2.GaussianBlur(sheet, (9, 9), 0), np.uint8)
    sheet[120:132, 90:170] = 0
    drawing = trace(sheet)
    return [paired_sample(Image.fromarray(sheet), drawing, CONFIG, np.random.default_rng(seed)) for seed in range(40)]


@pytest.fixture(scope="module")
def lessons() -> list[TrainingSample]:
    return forty_lessons()


def lab(photo: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(photo.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def body(photo: np.ndarray) -> np.ndarray:
    """The median CIELAB colour of what is neither paper nor the bar."""
    colours = lab(photo)
    return np.median(colours[(colours[..., 0] > 12) & (colours[..., 0] < 92)], axis=0)


def test_a_grey_object_takes_strong_colours_of_every_hue(lessons: list[TrainingSample]) -> None:
    """Pens are stronger than photos: with turned photos alone no violet was ever seen."""
    colours = np.array([body(sample.photo) for sample in lessons])
    chroma, hue = np.hypot(colours[:, 1], colours[:, 2]), np.arctan2(colours[:, 2], colours[:, 1])
    assert chroma.max() > 60
    assert len(set(np.floor(hue[chroma > 15] / (np.pi / 2)))) == 4


def test_paper_and_black_keep_their_place(lessons: list[TrainingSample]) -> None:
    """Nor is there a rim in another colour between object and paper."""
    for sample in lessons:
        colours = lab(sample.photo)
        chroma = np.hypot(colours[..., 1], colours[..., 2])
        assert chroma[colours[..., 0] > 99].max() < 3
        assert (colours[..., 0] < 5).any()
        asked = body(sample.photo)[1:]
        rim = colours[(colours[..., 0] > 80) & (chroma > 10)][:, 1:]
        assert (rim @ asked > 0).all()


def test_only_what_is_plain_is_drawn_without_its_inner_lines_or_unfinished() -> None:
    """A blank drawing of a thing with a pattern would teach patterns for all that is blank."""
    inked = {}
    for bars in (1, 8):
        sheet = np.full((256, 256, 3), 255, np.uint8)
        sheet[30:230, 40:220] = 110
        for row in np.linspace(50, 210, bars).astype(int):
            sheet[row - 3 : row + 4, 60:200] = 0
        drawing = trace(sheet)
        config = CONFIG.model_copy(update={"hint_prob": 0, "unfinished_prob": 0.5})
        photo = Image.fromarray(sheet)
        lessons = [paired_sample(photo, drawing, config, np.random.default_rng(seed)) for seed in range(30)]
        inked[bars] = [(sample.lines < 128).sum() / (sample.traced < 128).sum() for sample in lessons]
    assert min(inked[8]) > 0.85
    assert min(inked[1]) < 0.5
    assert np.mean(np.array(inked[1]) > 0.9) > 0.2


def test_lines_may_be_drawn_in_the_colours_of_the_object(monkeypatch) -> None:
    monkeypatch.setattr("cyclegan.training.augmentation.COLOURED_PEN_PROB", 1)
    told = [sample for sample in forty_lessons() if sample.coloured]
    assert len(told) > 20
    for sample in told:
        assert np.ptp(sample.lines, axis=-1).max() == 0
        lines = sample.sketch[(sample.hints == 255).all(-1) & (sample.sketch.min(-1) < 200)]
        drawn, asked = np.median(lab(lines[None])[0, :, 1:], axis=0), body(sample.photo)[1:]
        assert drawn @ asked > 0.8 * np.linalg.norm(drawn) * np.linalg.norm(asked) > 0


def test_hints_are_somewhat_stronger_than_what_the_object_took(lessons: list[TrainingSample]) -> None:
    told = [sample for sample in lessons if sample.coloured]
    assert len(told) > 20
    stronger, brighter = [], []
    for sample in told:
        core = sample.hints.reshape(-1, 3)[sample.hints.sum(-1).argmin()]  # the edges of strokes are paler
        picked, took = lab(core[None, None])[0, 0], body(sample.photo)
        assert np.linalg.norm(picked - took) < 20 + np.linalg.norm(took[1:])
        assert picked[1:] @ took[1:] > 0.8 * np.linalg.norm(picked[1:]) * np.linalg.norm(took[1:])
        stronger.append(np.linalg.norm(picked[1:]) / np.linalg.norm(took[1:]))
        brighter.append(picked[0] - took[0])
    assert 1.05 < np.median(stronger) < 1.5 < max(stronger)  # screens end the strongest
    assert min(brighter) < -4
    assert max(brighter) > 4


def test_a_colour_may_change_alone(monkeypatch) -> None:
    """Of a shoe with a white sole the leather: what else there is stays; a small print never changes by itself."""
    monkeypatch.setattr("cyclegan.training.augmentation.ONE_COLOUR_PROB", 1)
    sheet = np.full((256, 256, 3), 255, np.uint8)
    sheet[60:160, 40:216] = (120, 70, 40)
    sheet[160:200, 40:216] = 190
    sheet[80:100, 108:148] = (30, 160, 60)
    drawing = trace(sheet)
    photos = [
        paired_sample(Image.fromarray(sheet), drawing, CONFIG, np.random.default_rng(seed)).photo for seed in range(40)
    ]
    leather, sole, patch = (np.stack([photo[y, x] for photo in photos]) for y, x in ((65, 70), (90, 64), (45, 64)))
    leather, sole, patch = (
        np.abs(colour.astype(int) - one).max(axis=1) > 12
        for colour, one in ((leather, (120, 70, 40)), (sole, (190, 190, 190)), (patch, (30, 160, 60)))
    )
    assert (leather & ~sole).any()
    assert leather[patch].all()


def test_an_object_is_pasted_with_its_silhouette() -> None:
    scene = np.full((200, 300, 3), (90, 140, 200), np.uint8)
    across = Stroke(np.stack([np.arange(1, 300, 2), np.full(150, 100)], axis=1).astype(np.float32), "edge")
    lines = Drawing((300, 200), (across,))
    sheet = np.full((256, 256, 3), 255, np.uint8)
    sheet[40:216, 60:196] = (200, 40, 30)
    drawing = trace(sheet)
    for seed in range(12):
        picture, both = pasted(scene, lines, sheet, drawing, np.random.default_rng(seed))
        silhouette = replace(both.strokes[0], kind="outline")
        mask = Drawing(both.size, (silhouette,)).mask() > 0
        red = (picture[..., 0] > picture[..., 2]) & (picture[..., 1] < 60)
        assert red.sum() == pytest.approx(mask.sum(), rel=0.2)
        assert (red & ~mask).mean() < 0.01
        for stroke in both.strokes[1:]:
            if np.ptp(stroke.points[:, 1]) == 0:
                x, y = stroke.points.astype(int).T
                assert not mask[y, x].any()
    assert (picture[~cv2.dilate(mask.astype(np.uint8), np.ones((5, 5))).astype(bool)] == (90, 140, 200)).all()


def test_recolouring_leaves_what_is_around_the_object_untouched() -> None:
    """Also beside the border of the sheet, up to which an object may reach."""
    photo = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for rows, columns in ((slice(20, 40), slice(10, 50)), (slice(0, 30), slice(40, 64))):
        mask = np.zeros((64, 64), np.uint8)
        mask[rows, columns] = 255
        reached = cv2.dilate(mask, np.ones((3, 3))) > 0
        for seed in range(4):
            changed = _recolouring(photo, mask, np.random.default_rng(seed)).of(photo, mask)
            assert (changed[~reached] == photo[~reached]).all()
            assert (changed[mask > 0] != photo[mask > 0]).any()


def test_a_steady_hand_draws_where_the_photo_s_edges_are() -> None:
    """All ink lies within half a pen of the traced lines; other hands stray."""
    sheet = np.full((256, 256, 3), 255, np.uint8)
    cv2.circle(sheet, (128, 128), 70, (110, 110, 110), -1, cv2.LINE_AA)
    drawing = trace(sheet)
    strayed = {}
    for steady in (True, False):
        config = CONFIG.model_copy(update={"hint_prob": 0.0, "steady": steady, "size": 256})
        shares = []
        for seed in range(12):
            sample = paired_sample(Image.fromarray(sheet), drawing, config, np.random.default_rng(seed))
            near = cv2.erode(sample.traced[..., 0], np.ones((3, 3))) < 128
            shares.append((sample.lines[..., 0] < 128)[~near].sum() / (sample.lines[..., 0] < 128).sum())
        strayed[steady] = float(np.mean(shares))
    assert strayed[True] < 0.01
    assert strayed[False] > 0.05


def test_the_largest_scale_is_a_setting() -> None:
    sheet = np.full((256, 256, 3), 255, np.uint8)
    cv2.circle(sheet, (128, 128), 120, (110, 110, 110), -1, cv2.LINE_AA)
    config = CONFIG.model_copy(update={"min_scale": 0.4, "max_scale": 0.5, "hint_prob": 0.0})
    widths = [
        (paired_sample(Image.fromarray(sheet), trace(sheet), config, np.random.default_rng(seed)).photo < 240)
        .any(axis=(0, 2))
        .sum()
        for seed in range(12)
    ]
    assert min(widths) > 0.36 * 128
    assert max(widths) < 0.52 * 128


def test_what_the_object_encloses_without_covering_it_is_paper_in_the_colour_map() -> None:
    """From a hole in the colours around it, G would learn to fill what a handle encloses."""
    sheet = np.full((256, 256, 3), 255, np.uint8)
    sheet[40:216, 40:216] = 110
    sheet[90:166, 90:166] = 255
    drawing = trace(sheet)
    config = CONFIG.model_copy(update={"hint_prob": 0, "colourways": True})
    for seed in range(10):
        sample = paired_sample(Image.fromarray(sheet), drawing, config, np.random.default_rng(seed))
        hole, ring = sample.photo[64, 64] > 250, sample.colour_map[64, 36]
        assert hole.all()
        assert (sample.colour_map[64, 64] == 255).all()
        assert (ring < 250).any()
