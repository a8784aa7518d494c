"""`photo_transform` for a whole batch in PyTorch, on any device; a test holds how near the two are.

A worker then decodes, draws, and looks for regions, which is one thing after the other, and leaves the photo's pixels
to the device.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cyclegan.config import DataConfig
from cyclegan.drawing.tracing import WORK_SIZE
from cyclegan.training.photo_transform import OBJECT, Jitter, PhotoTransform, Recolouring, grid_side

RECOLOURINGS = 2
"""As many as a photo can have: its own, and that in the colours of a colourway."""

WHITE = torch.tensor([[0.950456], [1.0], [1.088754]])
TO_XYZ = torch.tensor([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
TO_XYZ = TO_XYZ / WHITE
"""Linear sRGB to XYZ relative to the white D65, as OpenCV has it."""
FROM_XYZ = torch.linalg.inv(TO_XYZ)

Tensors = dict[str, Tensor]


def packed(transform: PhotoTransform, config: DataConfig) -> Tensors:
    """``transform`` as tensors, of the same shapes for all samples; collated, they are what `applied` takes."""
    size, side = transform.size, max(config.size, WORK_SIZE)
    grid, moves = grid_side(size), transform.matrix is not None
    source = np.full((side, side, 3), 255, np.uint8)
    height, width = (size, size) if moves else transform.source.shape[:2]
    top, left = (size - height) // 2, (size - width) // 2
    if moves:
        source[:] = transform.source
    else:
        source[top : top + height, left : left + width] = transform.source
    unchanged = Recolouring(np.zeros((grid, grid), np.uint8))
    recolourings = [*transform.recolourings, unchanged, unchanged][:RECOLOURINGS]
    jitter = transform.jitter or Jitter()
    arrays = {
        "source": source,
        "moves": np.array(moves),
        "matrix": np.eye(2, 3, dtype=np.float32) if transform.matrix is None else transform.matrix,
        "mask": np.zeros((size, size), np.uint8) if transform.mask is None else transform.mask,
        "part": np.stack([one.part for one in recolourings]),
        "turn": np.stack([one.turn for one in recolourings]),
        "regions": np.stack([np.broadcast_to(one.regions, (grid, grid)) for one in recolourings]),
        "means": np.stack([one.means for one in recolourings]),
        "colours": np.stack([one.colours for one in recolourings]),
        "jitter": np.array([jitter.gamma, jitter.contrast, jitter.saturation], np.float32),
        "box": np.array((top, left, height, width)),
        "blur": np.array(transform.blur, np.float32),
    }
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def applied(batch: Tensors, colour_maps: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """The photos of a ``batch`` of `packed` transforms, on ``device``, and ``colour_maps`` with those photos blurred
    whose transforms say so; both B×3×H×W float32 in [-1, 1].

    Small tensors have to lie on the CPU: what is to be done is read from them, and no device is waited for.
    """
    there = {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
    size = batch["mask"].shape[-1]
    source = there["source"].permute(0, 3, 1, 2).float() / 255
    photo = source[..., :size, :size]
    if batch["moves"].any():
        photo = torch.where(there["moves"][:, None, None, None], _moved(source, batch["matrix"], size), photo)
    for number in range(RECOLOURINGS):
        if batch["part"][:, number].any():
            one = {name: there[name][:, number] for name in ("part", "turn", "regions", "means", "colours")}
            photo = _recoloured(photo, there["mask"], **one)
    if (batch["jitter"] != 1).any():
        photo = _jittered(photo, *there["jitter"].T[..., None, None, None])
    sheets, maps = torch.ones_like(photo), colour_maps.clone()
    for place, (top, left, height, width) in enumerate(batch["box"].tolist()):
        inside = (place, slice(None), slice(top, top + height), slice(left, left + width))
        sheets[inside] = photo[inside]
        if sigma := batch["blur"][place].item():
            maps[place] = 1.0
            maps[inside] = 2 * _blurred(photo[inside][None], sigma)[0] - 1
    return 2 * sheets - 1, maps


def _moved(source: Tensor, matrix: Tensor, size: int) -> Tensor:
    """B×3×S×S ``source`` under B×2×3 ``matrix``, which is on the CPU: made twice as large and averaged down."""
    back = torch.linalg.inv(matrix[:, :, :2]).to(source.device, non_blocking=True)
    shift = matrix[:, :, 2:].to(source.device, non_blocking=True)
    centres = (torch.arange(2 * size, device=source.device) + 0.5) / 2
    on_sheet = torch.stack(torch.meshgrid(centres, centres, indexing="xy")).flatten(1)
    at = (back @ (on_sheet - shift)).mT.view(-1, 2 * size, 2 * size, 2) * (2 / source.shape[-1]) - 1
    larger = functional.grid_sample(source, at, "bicubic", "border", align_corners=False)
    return functional.avg_pool2d(larger.clamp(0, 1), 2)


def _recoloured(
    photo: Tensor, mask: Tensor, part: Tensor, turn: Tensor, regions: Tensor, means: Tensor, colours: Tensor
) -> Tensor:
    """`Recolouring.of` of B×3×H×W ``photo`` in [0, 1]; the others as there, B of each."""
    size = photo.shape[-2:]
    soft = functional.interpolate(part[:, None].float(), size, mode="bilinear") / 255
    inside = soft * mask[:, None] / 255
    lab = to_lab(photo)
    numbers = functional.interpolate(regions[:, None].float(), size, mode="nearest")[:, 0].long()
    mean, colour = (_of_regions(table, numbers) for table in (means, colours))
    turns = turn.any(dim=1)[:, None, None, None]
    new = from_lab(torch.where(turns, _turned(lab, turn), _shifted(lab, mean, colour)))
    changes = inside.amax((1, 2, 3), keepdim=True) > OBJECT / 255
    share = functional.pad(inside, (1, 1, 1, 1), mode="reflect")
    for dim in (2, 3):
        first, middle, last = (share.narrow(dim, start, share.shape[dim] - 2) for start in range(3))
        share = (first + 2 * middle + last) / 4
    return torch.where(changes, photo + share * (new - photo), photo)


def _of_regions(table: Tensor, numbers: Tensor) -> Tensor:
    """B×REGIONS×3 ``table`` and B×H×W ``numbers`` of regions → B×3×H×W."""
    return torch.stack([rows[one] for rows, one in zip(table, numbers, strict=True)]).permute(0, 3, 1, 2)


def _turned(lab: Tensor, turn: Tensor) -> Tensor:
    """`images.rotate_hues`; ``turn``: B angles and factors of the chroma."""
    angle, strength = turn[:, :1, None], turn[:, 1:, None]
    light, a, b = lab.split(1, dim=1)
    cosine, sine = (strength * one for one in (angle.cos(), angle.sin()))
    return torch.cat(
        (light, a * cosine[..., None] - b * sine[..., None], a * sine[..., None] + b * cosine[..., None]), 1
    )


def _shifted(lab: Tensor, mean: Tensor, colour: Tensor) -> Tensor:
    lightness = mean[:, :1].clamp(2, 98)
    chroma = lab[:, 1:] - _share(lab[:, :1], lightness) * mean[:, 1:]
    gamma = (torch.log(colour[:, :1] / 100) / torch.log(lightness / 100)).clamp(0.3, 3.0)
    light = 100 * (lab[:, :1] / 100).clamp(0, 1) ** gamma
    return torch.cat((light, chroma + _share(light, colour[:, :1]) * colour[:, 1:]), dim=1)


def _share(light: Tensor, lightness: Tensor) -> Tensor:
    return torch.minimum(light / lightness, (100 - light) / (100 - lightness))


def _jittered(photo: Tensor, gamma: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
    values = (photo**gamma - 0.5) * contrast + 0.5
    grey = values.mean(dim=1, keepdim=True)
    return (grey + (values - grey) * saturation).clamp(0, 1)


def _blurred(photo: Tensor, sigma: float) -> Tensor:
    """1×3×H×W ``photo``, blurred; what is beyond its border is its mirror image, the border included."""
    radius = (round(6 * sigma + 1) | 1) // 2
    away = torch.arange(-radius, radius + 1, device=photo.device)
    weights = torch.exp(-(away**2) / (2 * sigma**2))
    weights = (weights / weights.sum()).view(1, 1, -1)
    for dim in (2, 3):
        count = photo.shape[dim]
        places = torch.arange(-radius, count + radius, device=photo.device) % (2 * count)
        wide = photo.index_select(dim, torch.minimum(places, 2 * count - 1 - places)).movedim(dim, -1)
        lines = functional.conv1d(wide.reshape(-1, 1, wide.shape[-1]), weights)
        photo = lines.view(*wide.shape[:-1], count).movedim(-1, dim)
    return photo


def to_lab(rgb: Tensor) -> Tensor:
    """B×3×H×W sRGB in [0, 1] → CIELAB, as `images.to_lab`."""
    linear = torch.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    xyz = torch.einsum("ij,bjhw->bihw", TO_XYZ.to(rgb), linear)
    x, y, z = torch.where(xyz > 0.008856, xyz.clamp(min=0) ** (1 / 3), 7.787 * xyz + 16 / 116).unbind(1)
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), dim=1)


def from_lab(lab: Tensor) -> Tensor:
    """CIELAB → B×3×H×W sRGB; what a screen cannot show is cut to [0, 1]."""
    y = (lab[:, 0] + 16) / 116
    cubed = torch.stack((y + lab[:, 1] / 500, y, y - lab[:, 2] / 200), dim=1)
    xyz = torch.where(cubed > 0.008856 ** (1 / 3), cubed**3, (cubed - 16 / 116) / 7.787)
    linear = torch.einsum("ij,bjhw->bihw", FROM_XYZ.to(lab), xyz).clamp(0, 1)
    return torch.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
