"""The colour that a drawing asks for at every place: spread from its coloured strokes, or its own if there are none.

No outline tells black shoes from white ones, and a generator that must guess learns the mean of all: brown. Told a
colour at every place, it has nothing to guess.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

FINEST = 4  # pixels: the field is smooth, so it is made this much smaller
PALE = 0.12  # strokes with less chroma (largest minus smallest channel, 0 to 1) are lines, paper or noise
TRUST = 0.01  # weight at which a stroke counts as much as all that is farther away
FAINT = 0.25  # a line is at least so much darker than paper
NOTHING = 1e-5  # weight of a drawing's own colour: any stroke outweighs it


@torch.no_grad()
def colour_field(drawing: Tensor) -> Tensor:
    """B×3×H×W in [-1, 1] → the same: smooth colours that pass through the drawing's coloured strokes.

    Pull and push after Gortler et al., "The Lumigraph", SIGGRAPH 1996, section 3.4.1: averages weighted by chroma over
    ever larger squares; then, from coarse to fine, each square keeps its own as far as it has any.
    """
    kind, drawing = drawing.dtype, drawing.float().contiguous()
    red, green, blue = drawing.split(1, dim=1)  # reducing over three channels would take far longer than comparing them
    brightest = torch.maximum(torch.maximum(red, green), blue)
    chroma = (brightest - torch.minimum(torch.minimum(red, green), blue)) / 2
    weight = (chroma - PALE).clamp(min=0) ** 2  # squared: the soft edges of strokes are paler than the strokes
    field = own_colour(drawing)[..., None, None]
    if not weight.any():
        return field.expand_as(drawing).to(kind)
    weighted = functional.avg_pool2d(torch.cat((weight * drawing, weight), dim=1), FINEST, ceil_mode=True)
    levels = [weighted]
    while max(weighted.shape[-2:]) > 1:
        weighted = functional.avg_pool2d(weighted, 2, ceil_mode=True)
        levels.append(weighted)
    field = _mixed(levels.pop(), field, NOTHING)
    for level in reversed(levels):
        field = _mixed(level, functional.interpolate(field, level.shape[-2:], mode="bilinear"), TRUST)
    return functional.interpolate(field, drawing.shape[-2:], mode="bilinear").to(kind)


def own_colour(drawing: Tensor) -> Tensor:
    """B×3 in [-1, 1]: a colour that follows smoothly from the size of B×3×H×W drawings (in [-1, 1]).

    Brightness, chroma and hue are slow waves over two numbers: how wide the drawing is for its height, and how much of
    the sheet it takes. Neither changes any more once the outline is there: a photo keeps its colour while details are
    drawn. They range about as far as the colours of catalogue photos; the phases make an apple reddish.
    """
    ink = drawing.float().amax(1) < 1 - 2 * FAINT
    width, height = _extent(ink.any(1)), _extent(ink.any(2))
    wide, large = torch.tanh((width / height).log()), (width * height).sqrt()
    brightness = 0.41 + 0.22 * torch.sin(2 * torch.pi * (0.50 * wide + 1.00 * large - 0.747))
    chroma = 0.085 - 0.065 * torch.cos(2 * torch.pi * (0.50 * wide - 0.60 * large + 1.044))
    hue = 0.45 * wide + 0.30 * large - 0.199
    thirds = torch.arange(3, device=drawing.device) / 3
    colour = brightness[:, None] + chroma[:, None] * torch.cos(2 * torch.pi * (hue[:, None] - thirds))
    return 2 * colour.clamp(0, 1) - 1


def _extent(inked: Tensor) -> Tensor:
    """B×N booleans → B: from the first to the last true one, as a share of N; of an empty sheet, one place."""
    count = inked.shape[1]
    place = torch.arange(count, device=inked.device).expand_as(inked)
    first, last = place.masked_fill(~inked, count).amin(1), place.masked_fill(~inked, -1).amax(1)
    return (last - first + 1).clamp(min=1) / count


def _mixed(level: Tensor, farther: Tensor, trust: float) -> Tensor:
    """The colours of ``level`` (B×4×h×w: weighted colour, weight) over ``farther`` ones, as far as there are any."""
    colour, weight = level[:, :3], level[:, 3:]
    return (colour + trust * farther) / (weight + trust)
