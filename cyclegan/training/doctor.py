"""What a run sees of itself that bodes ill: each in one plain sentence, said once, with what to try.

A loss that is not finite ends the run (`log.NonFiniteLossError`); all else here is advice.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import pairwise

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from cyclegan.config import TrainConfig
from cyclegan.devices import pick_device
from cyclegan.images import ImageError, RGBArray
from cyclegan.training.data import Batch, UnpairedImages, worker_count
from cyclegan.training.log import diversity

log = logging.getLogger(__name__)

LOOKED_AT = 24
"""Images of each folder that are looked at before training: some 0.2 s, 1 s for large JPEGs."""
WON_ROWS = 5
SETTLED_ROWS = 10
"""Rows of losses after which a generator's images are worth a judgement."""
PLATEAU_ROWS = 60
"""Rows without progress that are remarked upon: 3,000 steps by default."""
WORSE_SHEETS = 5
"""Sheets in a row after which it is no accident that held-out samples are worse than before."""
SUPERVISED = ("cycle", "identity", "paired", "lines", "colour", "perceptual", "texture", "luminance")
"""Kinds of losses that fall as a run learns; the adversarial ones need not."""


class Doctor:
    """Watches one run, in the process that speaks for it."""

    def __init__(self, config: TrainConfig):
        self.config = config
        self.said: set[str] = set()

    def look_at_data(self, dataset: UnpairedImages) -> None:
        """Before the first step: are these photos, and are they where photos belong?"""
        photos, sketches = thumbnails(dataset, "photo"), thumbnails(dataset, "sketch")
        if len(photos) < 2 or self.config.data.crop_from:  # other domains than photos and sketches
            return
        dark = sum(photo.max() < 40 for photo in photos)
        if dark > len(photos) / 2:
            self._say("black", f"{dark} of {len(photos)} photos looked at are nearly black: look into data.photos.")
        elif mean_distance(photos) < 2:
            self._say(
                "alike", f"The {len(photos)} photos looked at are nearly alike: there is nothing to tell apart in them."
            )
        drawn = share_of_drawings(photos)
        if sketches and drawn > 0.7 and share_of_drawings(sketches) < 0.3:
            self._say("swapped", "The photos look like drawings and the sketches do not: swap the two folders.")
        elif drawn > 0.7:
            self._say("drawn", "The photos look like drawings: is data.photos the folder of photos?")

    def look_at_losses(self, rows: Sequence[Mapping[str, float]]) -> bool:
        """After each row of ``losses.csv``; returns whether the run has made no progress for ``early_stop`` rows."""
        for domain, other in (("photo", "G"), ("sketch", "F")):
            if has_won(rows[-WON_ROWS:], domain, self.config.loss.gan_mode):
                self._say(
                    f"won/{domain}",
                    f"The discriminator of {domain}s has won: it tells every image of {other} from a real one, which "
                    f"teaches {other} little. Try a lower discriminator_lr_ratio, or more images.",
                )
        plateau = self.config.early_stop or PLATEAU_ROWS
        stalled = stands_still([self._supervised(row) for row in rows], plateau)
        if stalled:
            steps = int(rows[-1]["step"] - rows[-1 - plateau]["step"])
            self._say(
                "plateau",
                f"Losses have not fallen for {steps} steps: export what there is, or go on with a lower learning_rate.",
            )
        return stalled and self.config.early_stop is not None

    def look_at_samples(self, step: int, batch: Batch, columns: Mapping[str, Tensor]) -> None:
        """After each sheet; ``columns``: its images, by name, of the samples in ``batch``."""
        if step < SETTLED_ROWS * self.config.log_every:
            return
        every = {"photo": self.config.loss.photo_every, "sketch": self.config.loss.sketch_every}
        for kind, network, real, given in (("photo", "G", "photo", "sketch"), ("sketch", "F", "traced", "photo")):
            if not every[kind]:
                continue
            fake, pairs = columns[f"fake_{kind}"], batch["paired"]
            if diversity(fake) < 0.1 * diversity(batch[real]):
                self._say(
                    f"collapse/{kind}",
                    f"{network} makes nearly the same {kind} of everything (collapse). Go back to an older checkpoint, "
                    "with a lower learning_rate and more weight on the cycle losses.",
                )
            # Where there are no pairs, a drawing and its photo are at least light in the same places.
            inverted = (
                correlation(fake[pairs], batch[real][pairs]) < -0.3
                if pairs.any()
                else correlation(fake, batch[given]) < -0.5
            )
            if inverted:
                self._say(
                    f"inverted/{kind}",
                    f"What {network} makes is dark where it should be light: colours are inverted. Start again with "
                    f"another seed, or with more weight on {f'paired_{kind}' if pairs.any() else 'identity'}.",
                )

    def look_at_held_out(self, rows: Sequence[Mapping[str, float]]) -> None:
        """After each sheet; ``rows``: of ``held_out.csv``, the newest last."""
        before, recent = rows[:-WORSE_SHEETS], rows[-WORSE_SHEETS:]
        if not before:
            return
        best = min(before, key=self._supervised)
        if min(map(self._supervised, recent)) > 1.02 * self._supervised(best):
            self._say(
                "worse",
                f"Held-out samples have been worse since step {best['step']}, in {WORSE_SHEETS} sheets: the run learns "
                "its photos by heart. End a run there (steps), or give it more photos.",
            )
        for kind, network in (("photo", "G"), ("sketch", "F")):
            name = f"diversity/{kind}"
            varied = max(before, key=lambda row: row.get(name, 0.0))
            if max(row.get(name, 1.0) for row in recent) < 0.6 * varied.get(name, 0.0):
                self._say(
                    name,
                    f"The {kind}s that {network} makes differ less and less: {recent[-1][name]:.0%} as much as real "
                    f"ones, {varied[name]:.0%} at step {varied['step']}. It begins to collapse: try a lower "
                    f"learning_rate, or more weight on cycle_{'sketch' if kind == 'photo' else 'photo'}.",
                )

    def look_at_waiting(self, share: float) -> None:
        """``share``: of the time since the last row, how much was spent waiting for data."""
        if share > 0.3:
            workers = worker_count(self.config.data, pick_device())
            self._say(
                "starving",
                f"{share:.0%} of the time is spent waiting for data: raise data.workers (now {workers}), or prepare "
                "the photos once with python -m train.pack.",
            )

    def _say(self, about: str, sentence: str) -> None:
        if about not in self.said:
            self.said.add(about)
            log.warning("%s", sentence)

    def _supervised(self, row: Mapping[str, float]) -> float:
        return sum(
            self.config.loss.weight(name) * value
            for name, value in row.items()
            if name.partition("/")[0] in SUPERVISED and self.config.loss.weight(name)
        )


def thumbnails(dataset: UnpairedImages, kind: str, side: int = 64) -> list[RGBArray]:
    """side×side pixels of up to LOOKED_AT photos or sketches, evenly from all that can be opened."""
    paths = dataset.listing.photos if kind == "photo" else dataset.listing.sketches
    found = []
    for path in paths[:: max(1, len(paths) // LOOKED_AT)][:LOOKED_AT]:
        try:
            found.append(dataset.thumbnail(path, side, "right" if kind == "photo" else "left"))
        except ImageError:
            continue
    return found


def mean_distance(pictures: Sequence[RGBArray]) -> float:
    """Mean difference, in levels of 255, between each picture and the next."""
    return float(np.mean([np.abs(a.astype(float) - b).mean() for a, b in pairwise(pictures)]))


def share_of_drawings(pictures: Sequence[RGBArray]) -> float:
    """How many look like lines on paper: grey, mostly white, and little of the rest is wider than a line, as the grey
    thing of a catalogue would be."""

    def drawing(picture: RGBArray) -> bool:
        grey = np.ptp(picture.astype(int), axis=2).mean() < 8
        ink = (picture.min(2) < 225).astype(np.uint8)
        areas = cv2.erode(ink, np.ones((5, 5), np.uint8))
        return bool(grey and 0 < ink.mean() < 0.4 and areas.sum() < 0.1 * ink.sum())

    return sum(map(drawing, pictures)) / max(1, len(pictures))


def has_won(rows: Sequence[Mapping[str, float]], domain: str, gan_mode: str) -> bool:
    """Whether in all ``rows`` the discriminator errs in a twentieth of an undecided one's loss, and is not fooled."""
    undecided, fooled = (0.693, 3.0) if gan_mode == "vanilla" else (0.25, 0.7)
    return len(rows) == WON_ROWS and all(
        row.get(f"discriminator/{domain}", 1.0) < 0.05 * undecided and row.get(f"adversarial/{domain}", 0.0) > fooled
        for row in rows
    )


def stands_still(values: Sequence[float], count: int) -> bool:
    """Whether none of the last ``count`` values is 1% below the lowest before them."""
    before, recent = values[:-count], values[-count:]
    return bool(before) and min(recent) > 0.99 * min(before)


def correlation(images: Tensor, others: Tensor) -> float:
    """Of the values of both (B×3×H×W), pooled by 4, in [-1, 1]; 0 if one is constant."""
    both = torch.stack([functional.avg_pool2d(one.float(), 4).flatten() for one in (images, others)])
    return torch.nan_to_num(torch.corrcoef(both)[0, 1]).item()
