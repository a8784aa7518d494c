"""Sketch doctor: the same drawing in many pens, on many papers, at many places, made on the spot."""

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from cyclegan.drawing.inking import SHIFT, fixed_point
from cyclegan.drawing.normalise import NormalisedDrawing, normalise
from cyclegan.images import Box, fit_square

SIZE = 256
RED = (220, 40, 40)


def arc(centre: tuple[float, float], radii: tuple[float, float], start: int = 0, end: int = 360) -> np.ndarray:
    angles = np.deg2rad(np.arange(start, end + 1, 3))
    return np.stack([centre[0] + radii[0] * np.cos(angles), centre[1] + radii[1] * np.sin(angles)], 1)


CUP = (  # on a canvas of 512
    arc((230, 120), (170, 45)),
    np.array([(60.0, 120), (90, 430)]),
    arc((230, 430), (140, 40), 0, 180)[::-1],
    np.array([(400.0, 120), (370, 430)]),
    arc((395, 250), (80, 70), -80, 90),
    np.array([(120.0, 250), (340, 250)]),
    np.array([(125.0, 300), (335, 300)]),
)
"""Strokes in drawing order."""


def drawn(
    strokes: Sequence[np.ndarray] = CUP,
    pen: float = 4,
    scale: float = 1,
    shift: tuple[float, float] = (0, 0),
    size: tuple[int, int] = (512, 512),
    ink: int = 0,
) -> Image.Image:
    large = np.full((size[1] * 4, size[0] * 4), 255, np.uint8)
    for points in strokes:
        path = fixed_point((points * scale + shift) * 4)
        cv2.polylines(large, [path], False, ink, max(round(pen * 4), 1), cv2.LINE_8, SHIFT)
    return Image.fromarray(cv2.resize(large, size, interpolation=cv2.INTER_AREA)).convert("RGB")


def hinted(drawing: Image.Image, colour: tuple[int, int, int] = RED) -> Image.Image:
    pixels = np.array(drawing)
    cv2.line(pixels, (150, 370), (300, 360), colour, 14, cv2.LINE_AA)
    return Image.fromarray(pixels)


def photographed(drawing: Image.Image, seed: int = 0, tone: int = 120) -> Image.Image:
    """Pencil on yellowish paper under slanting light, with a shadow and the camera's noise."""
    rng = np.random.default_rng(seed)
    height, width = drawing.height, drawing.width
    y, x = np.mgrid[0:height, 0:width] / max(drawing.size)
    light = 0.55 + 0.35 * x + 0.1 * y
    shadow = cv2.GaussianBlur((x + y > 1.35).astype(np.float32), (0, 0), 6)
    lit = (255 - (255 - np.asarray(drawing, np.float32)) * ((255 - tone) / 255)) * (light * (1 - 0.3 * shadow))[
        ..., None
    ]
    noise = rng.normal(0, 5, (height, width, 1))
    return Image.fromarray((lit * (1.0, 0.97, 0.88) + noise).clip(0, 255).astype(np.uint8))


def black(sheet: Image.Image) -> np.ndarray:
    return np.asarray(sheet).max(axis=2) < 128


def agreement(one: Image.Image, other: Image.Image) -> float:
    """Intersection over union of the lines, each made 2 px wider on every side."""
    a, b = (cv2.dilate(black(sheet).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0 for sheet in (one, other))
    return float((a & b).sum() / (a | b).sum())


def same(one: Image.Image, other: Image.Image) -> bool:
    return one.size == other.size and one.tobytes() == other.tobytes()


KNOWN = fit_square(drawn(), SIZE)


@pytest.mark.parametrize(
    "drawing",
    [
        drawn(),
        drawn(pen=3),
        hinted(drawn()),
        drawn(CUP[:1]),
        drawn(CUP[3:4], scale=0.3, shift=(200, 200)),
        drawn(scale=1.2, size=(700, 600)),
        drawn(()),
    ],
    ids=["known", "finer", "hinted", "begun", "lone stroke", "oblong", "blank"],
)
def test_what_the_model_knows_stays_as_it_is(drawing: Image.Image) -> None:
    before = drawing.tobytes()
    treatment = normalise(drawing, SIZE)
    assert same(treatment.sheet, fit_square(drawing, SIZE))
    assert treatment.remark == ""
    assert treatment.region == (0, 0, *drawing.size)
    assert drawing.tobytes() == before


@pytest.mark.parametrize("pen", [1, 2, 3, 4, 5, 6, 7, 8, 12])
def test_pens_of_any_width_give_nearly_the_same_sheet(pen: int) -> None:
    sheet = normalise(drawn(pen=pen), SIZE).sheet
    assert agreement(sheet, KNOWN) > 0.9
    assert np.abs(np.asarray(sheet, int) - np.asarray(KNOWN, int)).mean() < 6


@pytest.mark.parametrize("pen", [1, 8, 16])
def test_redrawn_lines_are_black_and_about_two_pixels_wide(pen: int) -> None:
    sheet = np.asarray(normalise(drawn(pen=pen), SIZE).sheet)
    assert sheet.min() == 0
    assert (255 - sheet).sum() / (255 - np.asarray(KNOWN)).sum(dtype=int) == pytest.approx(1, abs=0.2)


def test_a_fine_line_beside_a_thick_pen_stays_and_a_filled_shape_stays_filled() -> None:
    large = np.array(drawn(pen=14))
    cv2.line(large, (120, 345), (330, 345), (0, 0, 0), 3)
    cv2.circle(large, (230, 395), 26, (0, 0, 0), -1)
    ink = black(normalise(Image.fromarray(large), SIZE).sheet)
    assert ink[168:178, 65:160].any(axis=0).mean() > 0.95
    assert ink[193:202, 110:120].all()


def test_grey_lines_become_black() -> None:
    sheet = normalise(drawn(ink=170), SIZE).sheet
    assert agreement(sheet, KNOWN) > 0.9


@pytest.mark.parametrize("hint", [False, True])
def test_white_on_black_is_turned_round_but_for_colours(hint: bool) -> None:
    negative = Image.fromarray(255 - np.asarray(drawn()))
    treatment = normalise(hinted(negative) if hint else negative, SIZE)
    assert "dark" in treatment.remark
    assert agreement(treatment.sheet, KNOWN) > 0.9
    if hint:
        assert np.abs(np.array(treatment.sheet.getpixel((112, 183)), int) - RED).max() < 30


def test_a_white_outline_on_black_is_no_sheet_of_paper() -> None:
    """It is convex, light and closed; but what it encloses is as dark as all the rest."""
    outline = drawn([arc((256, 256), (220, 220)), arc((256, 256), (100, 100))])
    ink = black(normalise(Image.fromarray(255 - np.asarray(outline)), SIZE).sheet)
    assert ink.any(axis=0).sum() > 200


@pytest.mark.parametrize("seed", range(3))
def test_paper_light_and_shadow_are_wiped_away(seed: int) -> None:
    treatment = normalise(photographed(drawn(), seed), SIZE)
    assert "paper" in treatment.remark
    assert agreement(treatment.sheet, KNOWN) > 0.85
    far = cv2.dilate(black(KNOWN).astype(np.uint8), np.ones((13, 13), np.uint8)) == 0
    assert np.asarray(treatment.sheet)[far].min() == 255  # no grain, no edge of the shadow


def test_blank_paper_gives_a_white_sheet() -> None:
    assert np.asarray(normalise(photographed(drawn(())), SIZE).sheet).min() == 255


def test_a_coloured_stroke_on_paper_is_a_hint_and_a_drawing_all_in_blue_is_lines() -> None:
    hint = normalise(photographed(hinted(drawn()), tone=40), SIZE).sheet.getpixel((112, 183))
    assert isinstance(hint, tuple)
    assert hint[0] > 180
    assert max(hint[1:]) < 150
    blue = np.asarray(drawn())
    sheet = normalise(
        photographed(Image.fromarray(np.maximum(blue, (20, 30, 140)).astype(np.uint8)), tone=0), SIZE
    ).sheet
    assert agreement(sheet, KNOWN) > 0.85


def test_a_coloured_stroke_keeps_colour_and_place_when_lines_are_redrawn() -> None:
    sheet = normalise(hinted(drawn(pen=10)), SIZE).sheet
    assert np.abs(np.array(sheet.getpixel((112, 183)), int) - RED).max() < 10


@pytest.mark.parametrize("shift", [(150.0, 150.0), (5.0, 5.0), (320.0, 300.0)])
def test_a_small_drawing_is_enlarged_at_most_twice_and_put_back_where_it_was(shift: tuple[float, float]) -> None:
    drawing = drawn(scale=0.35, shift=shift)
    treatment = normalise(drawing, SIZE)
    assert "small" in treatment.remark
    assert treatment.region[2] - treatment.region[0] == 256
    assert black(treatment.sheet).any(axis=0).sum() > 1.9 * black(fit_square(drawing, SIZE)).any(axis=0).sum()
    assert off_by(treatment, drawing) <= 1


@pytest.mark.parametrize("size", [(512, 512), (700, 512), (512, 701), (1601, 1037)])
@pytest.mark.parametrize("scale", [1, 0.35])
def test_a_sheet_put_back_lies_on_the_drawing(size: tuple[int, int], scale: float) -> None:
    drawing = drawn(scale=scale * min(size) / 512, size=size, pen=5 * max(size) / 512)
    assert off_by(normalise(drawing, SIZE), drawing) <= max(size) / 512


def off_by(treatment: NormalisedDrawing, drawing: Image.Image) -> float:
    """The largest distance in pixels between the edges of the drawing's ink and those of its sheet put back."""
    back = treatment.put_back(treatment.sheet)
    assert back.size == drawing.size
    boxes = [cv2.boundingRect((np.asarray(picture.convert("L")) < 200).astype(np.uint8)) for picture in (back, drawing)]
    centres = [np.array([x + width / 2, y + height / 2]) for x, y, width, height in boxes]
    return float(np.abs(centres[0] - centres[1]).max())


@pytest.mark.parametrize(("scale", "most"), [(1, 0), (0.55, 2), (0.35, 3)])
def test_the_frame_rarely_changes_while_somebody_draws(scale: float, most: int) -> None:
    regions = []
    for count in range(1, len(CUP) + 1):
        for part in (0.3, 0.6, 1.0):
            stroke = CUP[count - 1]
            begun = cv2.resize(stroke, (2, 30))[: round(30 * part)] if len(stroke) == 2 else stroke
            begun = begun[: max(2, round(len(begun) * part))]
            regions.append(normalise(drawn([*CUP[: count - 1], begun], scale=scale, shift=(40, 60)), SIZE).region)
    assert sum(one != other for one, other in pairwise(regions)) <= most


def test_a_photo_is_left_alone_and_named() -> None:
    y, x = np.mgrid[-1:1:300j, -1:1:300j]
    ball = np.sqrt(np.maximum(0.6 - x**2 - y**2, 0))
    photo = np.where(ball > 0, 60 + 200 * ball, 255)[..., None].repeat(3, 2).astype(np.uint8)
    treatment = normalise(Image.fromarray(photo), SIZE)
    assert "photo" in treatment.remark
    assert same(treatment.sheet, fit_square(Image.fromarray(photo), SIZE))


@pytest.mark.parametrize("size", [(16, 16), (512, 512), (30, 400), (400, 30)])
@pytest.mark.parametrize("kind", ["black", "grey", "dot", "noise"])
def test_anything_else_gives_a_sheet_and_a_picture(size: tuple[int, int], kind: str) -> None:
    pixels = np.full((size[1], size[0], 3), {"black": 0, "grey": 128}.get(kind, 255), np.uint8)
    if kind == "dot":
        pixels[5:9, 5:9] = 0
    if kind == "noise":
        pixels = np.random.default_rng(0).integers(0, 256, pixels.shape, dtype=np.uint8)
    treatment = normalise(Image.fromarray(pixels), SIZE)
    assert treatment.sheet.size == (SIZE, SIZE)
    assert treatment.sheet.mode == "RGB"
    assert treatment.put_back(treatment.sheet).size == ((SIZE, SIZE) if size == (16, 16) else size)
    assert kind == "noise" or treatment.has_lines == (kind == "dot")
    assert same(treatment.sheet, normalise(Image.fromarray(pixels), SIZE).sheet)
    if kind in ("black", "grey"):
        assert np.asarray(treatment.sheet).min() == 255


# --- what lies around the paper -------------------------------------------------------------------------------------


def on_a_desk(paper: Image.Image, tone: int, turn: float = 3) -> Image.Image:
    """A sheet of paper, a little askew, on a desk of wood."""
    rng = np.random.default_rng(0)
    grain = tone * (1 + 0.15 * np.sin(np.arange(700) / 7))[:, None, None] * np.array([1.0, 0.8, 0.6])
    desk = Image.fromarray((grain + rng.normal(0, 4, (700, 900, 3))).clip(0, 255).astype(np.uint8))
    lying = paper.convert("RGBA").rotate(turn, Image.Resampling.BICUBIC, expand=True)
    desk.paste(lying, ((900 - lying.width) // 2, (700 - lying.height) // 2), lying)
    return desk


def framed(board: Image.Image, frame: int, wall: int) -> Image.Image:
    """A whiteboard with its frame on a wall."""
    pixels = np.pad(np.asarray(board), ((16, 16), (16, 16), (0, 0)), constant_values=frame)
    return Image.fromarray(np.pad(pixels, ((40, 40), (40, 40), (0, 0)), constant_values=wall))


@pytest.mark.parametrize("width", [6, 30])
def test_a_scanners_black_edge_is_no_part_of_the_drawing(width: int) -> None:
    pixels = np.array(drawn(pen=4))
    pixels[:, :width] = pixels[-width // 2 :] = 10
    treatment = normalise(Image.fromarray(pixels), SIZE)
    assert "edge" in treatment.remark
    assert agreement(treatment.sheet, KNOWN) > 0.9


@pytest.mark.parametrize("tone", [60, 130])
@pytest.mark.parametrize("turn", [0, 3])
def test_paper_on_a_desk(tone: int, turn: float) -> None:
    paper = Image.fromarray(np.clip(np.asarray(drawn()).astype(int), 60, 225).astype(np.uint8))
    treatment = normalise(on_a_desk(paper, tone, turn), SIZE)
    ink = black(treatment.sheet)
    alone = black(normalise(on_a_desk(paper, 225, turn), SIZE).sheet)  # nothing around that could be seen
    assert ink.sum() == pytest.approx(alone.sum(), rel=0.1)
    assert not ink[:12].any()
    assert not ink[-12:].any()


@pytest.mark.parametrize(("frame", "wall"), [(140, 140), (140, 190), (140, 60)])
def test_a_whiteboards_frame(frame: int, wall: int) -> None:
    board = np.clip(np.asarray(drawn()).astype(int), 40, 226)[20:-20].astype(np.uint8)
    ink = black(normalise(framed(Image.fromarray(board), frame, wall), SIZE).sheet)
    assert ink.any()
    height, width = ink.shape
    assert not ink[: height // 9].any()
    assert not ink[:, : width // 12].any()
    assert ink.sum() < 1.4 * black(KNOWN).sum()


def test_lines_that_leave_the_sheet_stay() -> None:
    pixels = np.array(drawn())
    cv2.line(pixels, (0, 60), (511, 60), (0, 0, 0), 5)
    cv2.line(pixels, (300, 0), (300, 100), (0, 0, 0), 12)
    ink = black(normalise(Image.fromarray(pixels), SIZE).sheet)
    assert ink[28:33].any(axis=0).all()
    assert ink[:25, 147:153].any(axis=1).all()


@pytest.mark.parametrize("width", [4, 6, 10])
@pytest.mark.parametrize("region", [None, (0, 85, 512, 427)])
def test_lines_along_the_edge_stay(width: int, region: Box | None) -> None:
    """They are no scanner's edge, which lies along most of a side."""
    sheet = Image.new("RGB", (512, 512), "white")
    pen = ImageDraw.Draw(sheet)
    pen.ellipse((150, 120, 330, 330), outline=0, width=width)
    pen.line([(2, 180), (2, 330), (60, 330), (60, 180), (2, 180)], fill=0, width=width)
    treatment = normalise(sheet, 256, region)
    assert "edge" not in treatment.remark
    left = np.asarray(treatment.sheet.convert("L"))[:, :4]
    assert (left.min(axis=1) < 128).sum() > 60


# --- icons ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [32, 48, 64])
def test_an_icon_is_a_drawing_and_is_enlarged_crisply(side: int) -> None:
    pen = 512 / side * 1.3
    icon = drawn(pen=pen).resize((side, side), Image.Resampling.LANCZOS)
    treatment = normalise(icon, SIZE)
    assert "photo" not in treatment.remark
    assert treatment.size == (SIZE, SIZE)
    blurred, crisp = (np.asarray(sheet).max(axis=2) for sheet in (fit_square(icon, SIZE), treatment.sheet))
    soft = [np.count_nonzero((grey > 60) & (grey < 200)) for grey in (blurred, crisp)]
    assert soft[1] < 0.5 * soft[0]
    assert agreement(treatment.sheet, KNOWN) > 0.6


@pytest.mark.parametrize("side", [24, 64])
def test_a_thumbnail_of_a_photo_is_a_photo(side: int) -> None:
    y, x = np.mgrid[-1:1:300j, -1:1:300j]
    ball = np.sqrt(np.maximum(0.6 - x**2 - y**2, 0))
    photo = Image.fromarray(np.where(ball > 0, 60 + 200 * ball, 255)[..., None].repeat(3, 2).astype(np.uint8))
    assert "photo" in normalise(photo.resize((side, side), Image.Resampling.LANCZOS), SIZE).remark
