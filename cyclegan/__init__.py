"""Sketch ↔ photo CycleGAN: `Translator.from_pretrained("weights").sketch_to_photo(image)`."""

import os

# Read once, when torch loads OpenMP. Threads that spin while they wait for each other bring a translation from 25 ms to
# 640 ms as soon as another process uses one of two cores; threads that sleep do not.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from cyclegan.images import ImageError, open_image
from cyclegan.inference import Translator
from cyclegan.weights import WeightsError

__all__ = ["ImageError", "Translator", "WeightsError", "open_image"]
