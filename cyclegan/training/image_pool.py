"""A history of generated images for the discriminators."""

from __future__ import annotations

import torch
from torch import Tensor


class ImagePool:
    """Remembers up to ``size`` generated images and hands out a mix of old and new ones.

    Each image that comes in is, with even chances, given back as it is or exchanged for a remembered one
    (Shrivastava et al., "Learning from Simulated and Unsupervised Images through Adversarial Training", CVPR 2017,
    section 2.3; CycleGAN, section 4: 50 images). A discriminator that also sees old fakes oscillates less.
    """

    def __init__(self, size: int, seed: int, device: torch.device):
        self.size, self.device = size, device
        self.images: list[Tensor] = []
        self.chance = torch.Generator().manual_seed(seed)

    def exchange(self, images: Tensor) -> Tensor:
        """``images`` (B×C×H×W), some of them exchanged for older ones; always detached."""
        return torch.stack([self._exchange(image) for image in images.detach()])

    def _exchange(self, image: Tensor) -> Tensor:
        if len(self.images) < self.size:
            self.images.append(image.clone())
            return image
        if self.size == 0 or torch.rand((), generator=self.chance) < 0.5:
            return image
        place = int(torch.randint(self.size, (), generator=self.chance))
        old, self.images[place] = self.images[place], image.clone()
        return old

    def state_dict(self) -> dict[str, Tensor | list[Tensor]]:
        return {"images": self.images, "chance": self.chance.get_state()}

    def load_state_dict(self, state: dict) -> None:
        self.images = [image.to(self.device) for image in state["images"]]
        self.chance.set_state(state["chance"])
