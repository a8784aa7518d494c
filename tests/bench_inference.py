"""Time of one translation, PIL in, PIL out: sketches at G's own size, photos at several.

    python -m tests.bench_inference [--weights weights] [--threads 2] [--rounds 30]

Directions, sizes and precisions take turns, so that other work on the machine falls on all of them alike. OpenVINO,
where it is installed and faster, has the sheets of G's sizes, one at a time; other photos are PyTorch's there, too.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from PIL import Image

from cyclegan import engine
from cyclegan.devices import fastest_dtype
from cyclegan.hub import DEFAULT_FOLDER, load_weights
from cyclegan.images import to_image
from cyclegan.inference import Translator

PHOTO_SIDES = (256, 512, 1024)
PHONE = (4000, 3000)  # a photo of 12 megapixels


def main() -> None:
    parser = argparse.ArgumentParser(description="Median and fastest time of a translation.")
    parser.add_argument("--weights", default=DEFAULT_FOLDER)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    weights = load_weights(options.weights)
    size, preview = weights.config.photo_side, weights.config.image_size
    noise = to_image(torch.rand(3, preview, preview, generator=torch.Generator().manual_seed(0)) * 2 - 1)
    noise = noise.resize((size, size), Image.Resampling.NEAREST)
    photos = {f"{side}×{side}": noise.resize((side, side)) for side in PHOTO_SIDES}
    photos["12 megapixels"] = noise.resize(PHONE, Image.Resampling.BICUBIC)
    calls: dict[tuple[str, str, str], Callable[[], Any]] = {}
    translators = {"float32": Translator(weights, "cpu", torch.float32)}
    if fastest_dtype(torch.device("cpu")) == torch.bfloat16:  # emulated, it would take minutes
        translators["bfloat16"] = Translator(weights, "cpu", torch.bfloat16)
    if engine.is_installed():
        translators["OpenVINO"] = Translator(weights, "cpu", torch.float32)
        translators["OpenVINO"].compile()
    for precision, translator in translators.items():
        calls["sketch_to_photo", f"{size}×{size}", precision] = partial(translator.sketch_to_photo, noise)
        sheet = partial(translator.sketch_to_photo, noise, normalise=False)
        calls["as it is", f"{size}×{size}", precision] = sheet
        if preview < size:
            small = partial(translator.sketch_to_photo, noise.resize((preview, preview)), normalise=False, preview=True)
            calls["its preview", f"{preview}×{preview}", precision] = small
        for name, photo in photos.items():
            calls["photo_to_sketch", name, precision] = partial(translator.photo_to_sketch, photo)
    times: dict[tuple[str, str, str], list[float]] = {key: [] for key in calls}
    for _ in range(options.rounds):
        for key, call in calls.items():
            start = time.perf_counter()
            call()
            times[key].append(1000 * (time.perf_counter() - start))

    rows = [f"{torch.get_num_threads()} threads, {options.rounds} rounds"]
    rows.append(f"{'direction':<16} {'size':<14} {'precision':<10} {'median':>8} {'fastest':>8}  ms")
    rows += [f"{d:<16} {s:<14} {p:<10} {statistics.median(t):8.1f} {min(t):8.1f}" for (d, s, p), t in times.items()]
    sys.stdout.write("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
