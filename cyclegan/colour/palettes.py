"""Sets of colours: the pens of the page, and colourways for drawings without colour strokes. RGB, 0 to 255."""

from typing import NamedTuple

RGB = tuple[int, int, int]

PALETTE = {
    "red": (214, 40, 40), "yellow": (252, 191, 73), "blue": (29, 111, 209),
    "green": (42, 157, 63), "violet": (123, 44, 191), "orange": (247, 127, 0),
}  # fmt: skip
"""The colours of pens."""


class Colourway(NamedTuple):
    """Colours of an object: of its largest regions, of smaller ones and of the smallest."""

    name: str
    main: RGB
    second: RGB
    accent: RGB


COLOURWAYS = (
    Colourway("tan", (168, 128, 96), (86, 58, 42), (212, 184, 134)),
    Colourway("navy", (40, 46, 70), (222, 218, 208), (176, 70, 60)),
    Colourway("black", (38, 38, 40), (92, 92, 94), (198, 198, 200)),
    Colourway("red", (176, 48, 46), (238, 234, 228), (44, 42, 44)),
    Colourway("beige", (206, 198, 186), (150, 114, 82), (66, 62, 62)),
    Colourway("coffee", (76, 54, 42), (152, 122, 94), (224, 210, 186)),
    Colourway("sky", (118, 138, 160), (232, 228, 222), (64, 72, 92)),
    Colourway("charcoal", (58, 60, 64), (150, 150, 152), (196, 170, 100)),
    Colourway("taupe", (128, 118, 106), (62, 56, 52), (216, 206, 190)),
    Colourway("burgundy", (104, 40, 46), (46, 38, 40), (218, 206, 188)),
    Colourway("white", (226, 223, 218), (156, 156, 158), (54, 54, 58)),
    Colourway("moss", (72, 90, 74), (188, 168, 134), (60, 48, 40)),
    Colourway("mustard", (198, 156, 74), (72, 58, 50), (236, 228, 208)),
    Colourway("soot", (46, 46, 50), (188, 70, 60), (228, 226, 222)),
    Colourway("slate", (92, 104, 120), (206, 204, 200), (46, 50, 58)),
    Colourway("brown", (96, 64, 46), (182, 146, 108), (230, 220, 198)),
    Colourway("teal", (60, 118, 122), (228, 222, 208), (212, 134, 94)),
    Colourway("grey", (140, 144, 150), (54, 60, 70), (206, 126, 72)),
    Colourway("espresso", (52, 44, 42), (118, 94, 76), (206, 190, 164)),
    Colourway("rose", (198, 134, 140), (240, 232, 228), (118, 76, 82)),
    Colourway("blue", (60, 84, 142), (234, 234, 234), (226, 184, 92)),
    Colourway("olive", (100, 98, 74), (62, 56, 46), (198, 178, 128)),
    Colourway("rust", (178, 100, 62), (66, 54, 50), (234, 220, 198)),
    Colourway("graphite", (84, 82, 88), (34, 34, 38), (186, 160, 110)),
)
"""Two thirds in the colours of leather, cloth and metal, a third in plain bright ones."""


def colourway(seed: int) -> Colourway:
    """The colourway of ``seed``; consecutive seeds go through them in turn."""
    return COLOURWAYS[seed % len(COLOURWAYS)]
