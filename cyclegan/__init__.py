"""Sketch ↔ photo CycleGAN: `Translator.from_pretrained("weights").sketch_to_photo(image)`."""

from cyclegan.images import ImageError, open_image
from cyclegan.inference import Translator
from cyclegan.weights import WeightsError

__all__ = ["ImageError", "Translator", "WeightsError", "open_image"]
