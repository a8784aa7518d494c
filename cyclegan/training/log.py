"""What a run leaves to look at: losses as CSV and as curves, and sample sheets."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import torch
from torch import Tensor, nn

from cyclegan import images
from cyclegan.colour.colour_map import condition, without_colour_strokes
from cyclegan.config import GeneratorConfig


class Tracker:
    """Averages losses over ``every`` steps into rows of ``losses.csv``; ``plot`` draws them as ``losses.png``."""

    def __init__(self, run: Path, every: int, step: int):
        """``step``: where the run continues; rows from beyond it, written after its checkpoint, are dropped."""
        self.run, self.every = run, every
        self.samples = run / "samples"
        self.samples.mkdir(parents=True, exist_ok=True)
        self.recent: dict[str, float] = {}
        """Means of the last complete row."""
        self.values: dict[str, list[float]] = defaultdict(list)
        self.rows: list[dict[str, float]] = []
        if step and (run / "losses.csv").exists():
            with (run / "losses.csv").open(newline="") as file:
                rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
            self.rows = [row | {"step": int(row["step"])} for row in rows if row["step"] <= step]

    def add(self, step: int, losses: dict[str, float]) -> None:
        for name, value in losses.items():
            self.values[name].append(value)
        if step % self.every == 0:
            self.recent = {name: sum(values) / len(values) for name, values in sorted(self.values.items())}
            self.rows.append({"step": step, **self.recent})
            self.values.clear()
            self._write()

    def _write(self) -> None:
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        temporary = self.run / "losses.csv.tmp"
        with temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(self.rows)
        temporary.replace(self.run / "losses.csv")

    def plot(self) -> None:
        """One panel a kind of loss, one line an image scored."""
        from matplotlib.figure import Figure  # 0.5 s to import, and only training needs it

        kinds: dict[str, list[str]] = defaultdict(list)
        for name in dict.fromkeys(name for row in self.rows for name in row if name != "step"):
            kinds[name.partition("/")[0]].append(name)
        if not kinds:
            return
        columns = min(4, len(kinds))
        figure = Figure(figsize=(3.2 * columns, 2.4 * -(-len(kinds) // columns)), layout="constrained")
        panels = list(figure.subplots(-(-len(kinds) // columns), columns, squeeze=False).flat)
        for panel in panels[len(kinds) :]:
            panel.set_axis_off()
        for panel, (kind, names) in zip(panels, kinds.items(), strict=False):
            for name in names:
                rows = [row for row in self.rows if name in row]
                label = name.partition("/")[2]
                panel.plot([row["step"] for row in rows], [row[name] for row in rows], label=label, linewidth=1)
            panel.set_title(kind.replace("_", " "), fontsize=10)
            panel.tick_params(labelsize=7)
            panel.legend(fontsize=7)
        figure.savefig(self.run / "losses.png", dpi=120)


@torch.no_grad()
def sample_sheet(G: nn.Module, F: nn.Module, batch: dict[str, Tensor], path: Path, config: GeneratorConfig) -> None:
    """Save sketch | photo | cycled sketch and photo | sketch | cycled photo, one row per sample of ``batch``.

    ``config``: which conditions the networks take.
    """
    modes = G.training, F.training
    G.eval(), F.eval()

    def photo_of(drawings: Tensor) -> Tensor:
        if not config.colour_map:
            return G(drawings)
        colours = batch["colour_map"]
        told = condition(colours, batch["background"], config.of("G").condition_channels)
        return G(without_colour_strokes(drawings, colours), told)

    def sketch_of(photos: Tensor) -> Tensor:
        return F(photos, batch["detail"][:, None, None, None].expand_as(photos[:, :1])) if config.detail else F(photos)

    sketch, photo = batch["sketch"], batch["photo"]
    fake_photo, fake_sketch = photo_of(sketch), sketch_of(photo)
    columns = (sketch, fake_photo, sketch_of(fake_photo), photo, fake_sketch, photo_of(fake_sketch))
    G.train(modes[0]), F.train(modes[1])
    labels = ("sketch", "photo", "cycled", "photo", "sketch", "cycled")
    rows = [[images.to_image(image) for image in row] for row in zip(*columns, strict=True)]
    images.grid(rows, labels).save(path, quality=92)
