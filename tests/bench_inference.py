"""Time of one translation at the networks' own size, PIL in, PIL out.

    python -m tests.bench_inference [--weights weights] [--threads 2] [--rounds 30]

Directions and precisions take turns, so that other work on the machine falls on all of them alike.
"""

import argparse
import statistics
import sys
import time

import torch

from cyclegan.hub import DEFAULT_FOLDER, load_weights
from cyclegan.images import to_image
from cyclegan.inference import Translator


def main() -> None:
    parser = argparse.ArgumentParser(description="Median and fastest time of a translation.")
    parser.add_argument("--weights", default=DEFAULT_FOLDER)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    weights = load_weights(options.weights)
    size = weights.config.image_size
    image = to_image(torch.rand(3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1)
    methods = {
        (direction, str(dtype).removeprefix("torch.")): getattr(translator, direction)
        for dtype in (torch.float32, torch.bfloat16)
        for translator in [Translator(weights, "cpu", dtype)]
        for direction in ("sketch_to_photo", "photo_to_sketch")
    }
    times: dict[tuple[str, str], list[float]] = {key: [] for key in methods}
    for _ in range(options.rounds):
        for key, method in methods.items():
            start = time.perf_counter()
            method(image)
            times[key].append(1000 * (time.perf_counter() - start))

    rows = [f"{size}×{size} pixels, {torch.get_num_threads()} threads, {options.rounds} rounds"]
    rows.append(f"{'direction':<16} {'precision':<10} {'median':>8} {'fastest':>8}  ms")
    rows += [f"{d:<16} {p:<10} {statistics.median(t):8.1f} {min(t):8.1f}" for (d, p), t in times.items()]
    sys.stdout.write("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
