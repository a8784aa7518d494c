"""Sketch ↔ photo CycleGAN: `Translator.from_pretrained("weights").sketch_to_photo(image)`."""

from cyclegan.hub import WeightsError
from cyclegan.images import ImageError, open_image
from cyclegan.inference import Translator

__all__ = ["ImageError", "Translator", "WeightsError", "open_image"]
