"""Histories: of generated images for the discriminators, of colours for their spread."""

from __future__ import annotations

import torch
from torch import Tensor


class ImagePool:
    """Remembers up to ``size`` generated images and hands out a mix of old and new ones.

    Each image that comes in is, with even chances, given back as it is or exchanged for a remembered one
    (Shrivastava et al., "Learning from Simulated and Unsupervised Images through Adversarial Training", CVPR 2017,
    section 2.3; CycleGAN, section 4: 50 images). A discriminator that also sees old fakes oscillates less.
    """

    def __init__(self, size: int, seed: int):
        self.size = size
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
        self.images = list(state["images"])
        self.chance.set_state(state["chance"])


class ColourHistory:
    """The mean colours of the last ``size`` generated objects, and of the real ones in their places: M×3 each."""

    def __init__(self, size: int):
        self.size = size
        self.fake, self.real = torch.empty(0, 3), torch.empty(0, 3)

    def exchange(self, fake: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """Remember N×3 colours of each kind; returns the fake ones from before (M×3) and all real ones ((N+M)×3)."""
        earlier, reals = self.fake.to(fake), torch.cat((real, self.real.to(real)))
        self.fake, self.real = torch.cat((fake.detach(), earlier))[: self.size], reals[: self.size]
        return earlier, reals

    def state_dict(self) -> dict[str, Tensor]:
        return {"fake": self.fake, "real": self.real}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.fake, self.real = state["fake"], state["real"]
