"""Sketch ↔ photo CycleGAN: `Translator.from_pretrained("weights").sketch_to_photo(image)`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyclegan.images import ImageError, open_image
    from cyclegan.inference import Translator
    from cyclegan.weights import WeightsError

__all__ = ["ImageError", "Translator", "WeightsError", "open_image"]


def __getattr__(name: str) -> object:
    """Imports PyTorch only when something of it is asked for: programs set its environment first (see demo/app.py)."""
    if name in ("ImageError", "open_image"):
        from cyclegan import images

        return images.ImageError if name == "ImageError" else images.open_image
    if name == "Translator":
        from cyclegan.inference import Translator

        return Translator
    if name == "WeightsError":
        from cyclegan.weights import WeightsError

        return WeightsError
    raise AttributeError(f"module 'cyclegan' has no attribute {name!r}")
