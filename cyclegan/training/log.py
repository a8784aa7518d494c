"""What a run leaves to look at: losses as CSV and as curves, and sample sheets."""

from __future__ import annotations

import csv
import logging
import math
import platform
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from cyclegan import images
from cyclegan.colour.colour_map import condition, without_colour_strokes
from cyclegan.config import GeneratorConfig
from cyclegan.devices import usable_cpus
from cyclegan.training.processes import ALONE, Processes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

ENVIRONMENT = "environment.json"

LINE_SECONDS = 10
T = TypeVar("T")


class NonFiniteLossError(RuntimeError):
    """A loss became NaN or infinite; the message names it and the step."""


class Tracker:
    """Averages losses over ``every`` steps into rows of ``losses.csv``; ``plot`` draws them as ``losses.png``.

    Losses are read from the device when a row is complete or a state is saved: each reading waits for the device.
    """

    def __init__(self, run: Path, every: int, state: Mapping[str, Any] | None = None, processes: Processes = ALONE):
        """``state``: of the checkpoint that the run continues from, if it does; rows from beyond it are dropped."""
        self.run, self.every, self.processes = run, every, processes
        self.waiting: list[tuple[int, Mapping[str, Tensor]]] = []
        """Steps whose losses are not read yet."""
        self.samples = run / "samples"
        self.samples.mkdir(parents=True, exist_ok=True)
        self.recent: dict[str, float] = {}
        """Means of the last complete row."""
        self.values: dict[str, list[float]] = defaultdict(list)
        self.rows: list[dict[str, float]] = []
        if state is not None:
            self.values |= state.get("losses", {})
            self.rows = [row for row in read_rows(run / "losses.csv") if row["step"] <= state["global_step"]]

    def add(self, step: int, losses: Mapping[str, Tensor], last: bool = False) -> bool:
        """Add a step's losses; returns whether they complete a row, as those of the ``last`` step always do.

        Raises:
            NonFiniteLossError: the row has one.
        """
        self.waiting.append((step, losses))
        complete = last or step % self.every == 0
        if complete:
            self.read()
            self.recent = {name: sum(values) / len(values) for name, values in sorted(self.values.items())}
            self.rows.append({"step": step, **self.recent})
            self.values.clear()
        return complete

    def read(self) -> None:
        """Read what waits on the device; in all processes, whose mean is the loss of the whole batch.

        Raises:
            NonFiniteLossError: one is NaN or infinite.
        """
        if not self.waiting:
            return
        numbers = iter(torch.stack([loss for _, losses in self.waiting for loss in losses.values()]).tolist())
        ours = [{name: next(numbers) for name in losses} for _, losses in self.waiting]
        everyone = self.processes.gather_objects(ours)
        for (step, _), *rows in zip(self.waiting, *everyone, strict=True):
            for name in dict.fromkeys(name for row in rows for name in row):
                value = sum(row.get(name, 0.0) for row in rows) / len(rows)
                if not math.isfinite(value):
                    raise NonFiniteLossError(f"The loss {name} became {value} at step {step}.")
                self.values[name].append(value)
        self.waiting.clear()

    def state_dict(self) -> dict[str, Any]:
        """Losses of the row that is not complete yet, of which all have to be read."""
        return {"losses": {name: list(values) for name, values in self.values.items()}}

    def write(self) -> None:
        """All rows, anew each time: a later row may have losses that the first has not."""
        write_rows(self.run / "losses.csv", self.rows)

    def plot(self) -> None:
        if figure := curves(self.rows):
            figure.savefig(self.run / "losses.png", dpi=120)


def curves(rows: Sequence[Mapping[str, float]]) -> Figure | None:
    """One panel a kind of value, one line an image scored; None without rows. ``step`` is the axis."""
    from matplotlib.figure import Figure  # 0.5 s to import, and only training needs it

    kinds: dict[str, list[str]] = defaultdict(list)
    for name in dict.fromkeys(name for row in rows for name in row if name != "step"):
        kinds[name.partition("/")[0]].append(name)
    if not kinds:
        return None
    columns = min(4, len(kinds))
    lines = -(-len(kinds) // columns)
    width, height = 3.2 * columns, 2.4 * lines  # inches
    figure = Figure(figsize=(width, height))
    # Margins by hand: matplotlib's own layout takes as long as all the drawing.
    figure.subplots_adjust(0.5 / width, 0.3 / height, 1 - 0.1 / width, 1 - 0.3 / height, 0.6 / 2.6, 0.6 / 1.8)
    panels = list(figure.subplots(lines, columns, squeeze=False).flat)
    for panel in panels[len(kinds) :]:
        panel.set_axis_off()
    for panel, (kind, names) in zip(panels, kinds.items(), strict=False):
        for name in names:
            those = [row for row in rows if name in row]
            label = name.partition("/")[2]
            marker = "." if len(those) == 1 else ""  # a line of one point is not seen
            points = [row["step"] for row in those], [row[name] for row in those]
            panel.plot(*points, marker=marker, label=label, linewidth=1)
        only = names[0].partition("/")[2] if len(names) == 1 else ""
        panel.set_title(f"{kind}, {only}".strip(", ").replace("_", " "), fontsize=10)
        panel.tick_params(labelsize=7)
        if len(names) > 1:
            panel.legend(fontsize=7)
    return figure


def environment(device: torch.device, processes: Processes) -> dict[str, Any]:
    """What a run computes on and with."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device} ({platform.machine()})",
        "processes": processes.count,
        "threads": torch.get_num_threads(),
        "processors": usable_cpus(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.system(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values of nested groups by dotted name: ``data.batch``."""
    values: dict[str, Any] = {}
    for name, value in settings.items():
        values |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return values


class Clock:
    """How fast a run is, and how much of its time it waits for data; ``speed.csv`` has both for each row of losses."""

    def __init__(self, run: Path):
        self.path = run / "speed.csv"
        self.waited = self.read = 0.0
        self.step: int | None = None

    def timed(self, data: Iterator[T], step: int) -> Iterator[T]:
        """``data``, the waiting for it timed, but for the first batch, for which workers have to start."""
        for first in data:
            self.begun, self.step = time.monotonic(), step
            yield first
            break
        while True:
            asked = time.monotonic()
            batch = next(data, None)
            self.waited += time.monotonic() - asked
            if batch is None:
                return
            yield batch

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Reading losses waits for a busy device: it had enough to do while this process waited for data."""
        begun = time.monotonic()
        yield
        self.read += time.monotonic() - begun

    def lap(self, step: int, batch: int) -> None:
        """Set ``speed``, images a second, and ``waiting``, a share in [0, 1], of the time since the last lap."""
        assert self.step is not None
        seconds = max(1e-9, time.monotonic() - self.begun)
        self.speed = (step - self.step) * batch / seconds
        self.waiting = max(0.0, self.waited - self.read) / seconds
        self.begun, self.step, self.waited, self.read = time.monotonic(), step, 0.0, 0.0

    def scalars(self) -> dict[str, float]:
        return {"speed/images_per_second": self.speed, "speed/waiting": self.waiting}

    def write(self) -> None:
        """One more row; of steps that a resumed run does again there are two."""
        new = not self.path.exists()
        with self.path.open("a", encoding="utf-8") as file:
            file.write("step,images_per_second,waiting\n" * new)
            file.write(f"{self.step},{self.speed:.4g},{self.waiting:.3f}\n")


class Progress:
    """How far the run is: a bar in a terminal; elsewhere, as in a log file, a line every ten seconds at most."""

    def __init__(self, total: int, step: int, batch: int, shown: bool = True):
        """``total``, ``step``: of the whole run, and where it begins; ``batch``: images a step."""
        self.total, self.batch, self.silent = total, batch, not shown
        disable = None if shown else True  # None: unless it is a terminal
        self.bar = tqdm(total=total * batch, initial=step * batch, unit="img", disable=disable, dynamic_ncols=True)
        self.begun = self.shown = time.monotonic()
        self.first = step

    def advance(self, step: int, losses: Mapping[str, float]) -> None:
        """``losses``: the newest means."""
        self.bar.update(self.batch)
        if not self.bar.disable:  # a line has room for what tells most; losses.csv has all
            shown = {
                name: f"{losses[name]:.2f}" for name in losses if name.startswith(("adversarial", "discriminator"))
            }
            self.bar.set_postfix(shown, refresh=False)
            return
        now = time.monotonic()
        if not self.silent and (step == self.total or now - self.shown > LINE_SECONDS):
            self.shown = now
            seconds = (now - self.begun) / (step - self.first)
            left = timedelta(seconds=round((self.total - step) * seconds))
            means = " ".join(f"{name}={value:.3g}" for name, value in losses.items())
            log.info("Step %d of %d, %.3g img/s, %s left: %s", step, self.total, self.batch / seconds, left, means)


def write_rows(file: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Whole or not at all."""
    temporary = file.with_suffix(".csv.tmp")
    with temporary.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)
    temporary.replace(file)


def read_rows(file: Path) -> list[dict[str, float]]:
    """The rows of a CSV file of numbers, without their empty fields; none if there is no such file."""
    if not file.exists():
        return []
    with file.open(newline="") as lines:
        rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(lines)]
    return [row | {"step": int(row["step"])} for row in rows]


@torch.no_grad()
def sample_sheet(
    G: nn.Module,
    F: nn.Module,
    batch: dict[str, Tensor],
    path: Path,
    config: GeneratorConfig,
    previews: bool = False,
) -> dict[str, Tensor]:
    """Save sketch | photo | cycled sketch and photo | sketch | cycled photo, one row per sample of ``batch``.

    ``config``: which conditions the networks take; ``previews``: whether G leaves its super-resolution out.

    Returns what they made: ``fake_photo``, ``cycled_sketch``, ``fake_sketch``, ``cycled_photo``.
    """
    modes = G.training, F.training
    G.eval(), F.eval()

    def photo_of(drawings: Tensor) -> Tensor:
        if not config.colour_map:
            return G(drawings, preview=previews)
        colours = batch["colour_map"]
        told = condition(colours, batch["background"], config.of("G").condition_channels)
        return G(without_colour_strokes(drawings, colours), told, preview=previews)

    def sketch_of(photos: Tensor) -> Tensor:
        return F(photos, batch["detail"][:, None, None, None].expand_as(photos[:, :1])) if config.detail else F(photos)

    sketch, photo = batch["sketch"], batch["photo"]
    fake_photo, fake_sketch = photo_of(sketch), sketch_of(photo)
    cycled_sketch, cycled_photo = sketch_of(fake_photo), photo_of(fake_sketch)
    columns = (sketch, fake_photo, cycled_sketch, photo, fake_sketch, cycled_photo)
    G.train(modes[0]), F.train(modes[1])
    labels = ("sketch", "photo", "cycled", "photo", "sketch", "cycled")
    rows = [[images.to_image(image) for image in row] for row in zip(*columns, strict=True)]
    images.grid(rows, labels).save(path, quality=92)
    return {
        "fake_photo": fake_photo,
        "cycled_sketch": cycled_sketch,
        "fake_sketch": fake_sketch,
        "cycled_photo": cycled_photo,
    }


def held_out_scores(columns: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, float]:
    """Mean differences (L1) between what came back and what it was made from and, of pairs, between fake and real; and
    the `diversity` of fakes, relative to that of real images."""
    pairs = batch["paired"].to(batch["photo"].device)
    compared = {"cycle/photo": (columns["cycled_photo"], batch["photo"])}
    compared["cycle/sketch"] = columns["cycled_sketch"], batch["lines"]
    if pairs.any():
        compared["paired/photo"] = columns["fake_photo"][pairs], batch["photo"][pairs]
        compared["paired/sketch"] = columns["fake_sketch"][pairs], batch["traced"][pairs]
    scores = {name: functional.l1_loss(*both).item() for name, both in compared.items()}
    for kind, real in (("photo", "photo"), ("sketch", "traced")):
        scores[f"diversity/{kind}"] = diversity(columns[f"fake_{kind}"]) / max(diversity(batch[real]), 1e-6)
    return scores


def diversity(images: Tensor) -> float:
    """Mean distance (L1) between two of the images (B×3×H×W), each pooled to 8×8 colours."""
    pooled = functional.adaptive_avg_pool2d(images.float(), 8).flatten(1)
    return torch.pdist(pooled, 1).mean().item()


def data_sheet(batch: dict[str, Tensor], path: Path) -> None:
    """Save what the networks are shown of a ``data.Batch``, one row per sample."""
    columns = {"sketch": "sketch", "colours": "colour_map", "lines": "lines", "photo": "photo", "its sketch": "traced"}
    rows = zip(*(batch[name] for name in columns.values()), strict=True)
    images.grid([[images.to_image(image) for image in row] for row in rows], tuple(columns)).save(path, quality=92)
