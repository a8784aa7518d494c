"""Every setting and its default, in one place: the networks', the run's, and what travels with the weights.

All models are frozen and refuse unknown keys, so that a misspelt setting is an error and not a silent default.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator


class ConfigError(ValueError):
    """A setting is missing, unknown or out of range; the message is one clear sentence."""


Model = TypeVar("Model", bound=BaseModel)

# Bounds that no sensible setting meets: config.json may come from a stranger.
Width = Annotated[int, Field(ge=1, le=4096)]
Blocks = Annotated[int, Field(ge=0, le=16)]
Side = Annotated[int, Field(ge=32, le=2048)]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GeneratorConfig(Frozen):
    """A U-Net; the default has 4.91 M parameters (9.9 MB in half precision)."""

    widths: tuple[Width, ...] = Field((32, 64, 128, 256, 192), min_length=2, max_length=7)
    """Channels after each halving of the resolution."""
    top_width: Width = 24
    """Channels at full resolution, the costliest place."""
    bottleneck_blocks: Blocks = 2
    colour_field: bool = True
    """Whether G is told what colour to take at every place."""
    grain: bool = True
    """Whether G is given noise to make textures of."""
    refined: bool = True
    """Whether G draws at half the resolution and then refines. Light and shade of whole objects come from few pixels,
    and a picture of half the side costs a quarter."""
    grey: bool = False
    """Whether all channels of the picture are one, as F's always are: a tinge in a drawing would be a colour hint."""
    decoder_blocks: tuple[Blocks, ...] = (0, 2, 1, 0)
    """Residual blocks after each step of the decoder, from stride 2 down to the stride before the bottleneck's."""

    def of(self, name: str) -> GeneratorConfig:
        """What "G" or "F" is built from: F draws crisp lines in greys, with no need of colours or textures."""
        lines = {"colour_field": False, "grain": False, "refined": False, "grey": True}
        return self if name == "G" else self.model_copy(update=lines)

    @model_validator(mode="after")
    def _one_entry_a_step(self) -> GeneratorConfig:
        if len(self.decoder_blocks) != len(self.widths) - 1:
            raise ValueError("decoder_blocks needs one entry for each of widths but the last")
        return self


class DiscriminatorConfig(Frozen):
    """A PatchGAN; three widths see patches of 70×70 pixels."""

    widths: tuple[Width, ...] = Field((32, 64, 128), min_length=1, max_length=5)
    """Channels after each halving of the resolution."""


class DataConfig(Frozen):
    """Two folders, of any nesting. Without sketches, or beside them, drawings are made from the photos."""

    photos: Path
    sketches: Path | None = None
    made_share: float = Field(1.0, ge=0, le=1)
    """Share of samples whose drawing is made from their photo (and so paired); the rest take one of ``sketches``."""
    size: Side = 256
    """Side of the square training images in pixels."""
    batch: PositiveInt = 8
    workers: int = Field(1, ge=0)
    held_out: float = Field(0.05, ge=0, lt=1)
    """Share of files kept back for evaluation, by a hash of their names."""
    hint_share: float = Field(0.65, ge=0, le=1)
    """Share of made drawings with strokes in the photo's colours; 0 trains a model that takes no colour hints."""
    colourways: bool = False
    """Whether half of the photos whose drawing has no hints take a colourway, part by part, as G then has to."""
    unfinished_share: float = Field(0.15, ge=0, le=1)
    """Share of the made drawings of plain things that stop before the last stroke, as live drawing sends them."""
    evenness: float = Field(0.0, ge=0, le=1)
    """How evenly the subfolders of photos are shown: 0 every photo once an epoch, 1 every subfolder alike; between, the
    photos of a folder n times smaller than the largest come about n^evenness times."""
    min_scale: float = Field(0.6, gt=0, le=1)
    """Smallest size of the object, relative to the fitted photo."""


class LossConfig(Frozen):
    """Weights of the generators' losses (0 leaves a term out) and what they are made of; formulas in ``losses.py``."""

    kind: Literal["vanilla", "lsgan"] = "lsgan"
    adversarial_photo: float = Field(1.0, ge=0)
    adversarial_sketch: float = Field(1.0, ge=0)
    cycle_sketch: float = Field(5.0, ge=0)
    cycle_photo: float = Field(5.0, ge=0)
    identity: float = Field(1.0, ge=0)
    paired_sketch: float = Field(0.0, ge=0)
    """L1 to the drawing that was made from a photo: there is one."""
    paired_photo: float = Field(0.0, ge=0)
    """L1 to the photo that a drawing was made from: there could be many, and much of this makes their mean."""
    colour: float = Field(0.0, ge=0)
    """L1 to that photo with both pooled by 8, where G is told its colour: elsewhere it would teach the mean."""
    feature_matching: float = Field(0.0, ge=0)
    """The same pairs, in the critics' features."""
    perceptual: float = Field(0.0, ge=0)
    """The same pairs, in the features of an ImageNet network."""
    texture: float = Field(0.0, ge=0)
    """The same pairs, in how much those features vary nearby."""
    projected: float = Field(0.0, ge=0)
    """Adversarial loss of a second critic of photos, one of those same features."""
    perceptual_weights: Path | None = None
    """State dict of torchvision's MobileNetV2; None lets torchvision download it."""
    stop_gradient: bool = True
    """Photo cycle: no gradient through the drawing, else F hides the photo's colours in it as dots."""
    drawing_noise: float = Field(0.05, ge=0)
    """Standard deviation of the noise on that drawing, so that nothing faint can be read from it."""
    alternate_cycles: bool = True
    """Sketch cycle on even steps, photo cycle on odd ones: a third less time a step."""
    sketch_every: int = Field(1, ge=0)
    """F and D_Y learn on every such step only: theirs is the easier half. 0 leaves them as they are."""
    identity_every: PositiveInt = 5
    """Identity terms on every such step only: they change slowly and cost two more passes."""

    def weight(self, name: str) -> float:
        """Weight of the loss ``name``, as in ``cycle/sketch`` or ``texture/photo``; the critics' own count once."""
        kind, own = name.partition("/")[0], name.replace("/", "_")
        return 1.0 if kind == "critic" else getattr(self, own if own in LossConfig.model_fields else kind)


class TrainConfig(Frozen):
    """One training run."""

    data: DataConfig
    loss: LossConfig = LossConfig()
    generator: GeneratorConfig = GeneratorConfig()
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    run: Path
    """Folder for checkpoints, curves and sample grids."""
    start_from: str | None = None
    """Weights (all four) to fine-tune: a folder or a Hub id; None starts from scratch."""
    steps: PositiveInt
    decay_from: float = Field(0.5, ge=0, le=1)
    """Share of the steps after which the learning rate goes linearly to zero."""
    fixed_norms_from: float = Field(1.0, ge=0, le=1)
    """Share of the steps after which the generators learn with the running statistics that they are shown with: till
    then a rare input, such as a thick pen, sways those of its own small batch, and looks different when shown."""
    learning_rate: float = Field(2e-4, gt=0)
    critic_pace: float = Field(1.0, gt=0)
    """The discriminators' learning rate relative to the generators' (Heusel et al., NeurIPS 2017: two time scales)."""
    betas: tuple[float, float] = (0.5, 0.999)
    ema: float = Field(0.998, ge=0, lt=1)
    """Decay per step of the moving average of the generators: what is shown and shipped."""
    pool: int = Field(50, ge=0)
    """Generated images remembered for each discriminator; 0 shows it only the newest."""
    seed: int = 0
    bfloat16: bool = True
    """Autocast to bfloat16: 1.4 times the pace on processors that have it."""
    log_every: PositiveInt = 50
    """Steps a row of the CSV averages over."""
    sample_minutes: float = Field(5.0, gt=0)
    checkpoint_minutes: float = Field(5.0, gt=0)


class WeightsConfig(Frozen):
    """``config.json``: what a folder of weights says of itself."""

    generator: GeneratorConfig
    discriminator: DiscriminatorConfig
    image_size: Side
    """Side in pixels of the square sheet on which the networks know objects."""
    colour_hints: bool
    """Whether a coloured stroke in the drawing tells the colour."""
    sha256: dict[str, str] = {}
    """Of each weight file, by name."""
    training: dict[str, Any] = {}
    """What trained it: the run's own settings and figures. For people; code reads ``data.held_out`` alone."""


def load_train_config(path: Path, overrides: list[str] = []) -> TrainConfig:  # noqa: B006 (only read)
    """Read a TOML file, apply ``["key.of.setting=value", …]`` (values in TOML's syntax; bare words are strings)."""
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"Cannot read the config {path}: {error}") from None
    for override in overrides:
        key, equals, value = override.partition("=")
        *groups, name = key.strip().split(".")
        if not (equals and name):
            raise ConfigError(f'--set takes key=value, as in data.photos=my_photos, not "{override}".')
        group = settings
        for part in groups:
            group = group.setdefault(part, {})
            if not isinstance(group, dict):
                raise ConfigError(f"--set {override}: {part} is a value, not a group of settings.")
        group[name] = _toml_value(value.strip())
    return parse(TrainConfig, settings, str(path))


def parse(model: type[Model], settings: Any, where: str) -> Model:
    """Validate ``settings``; raises ConfigError naming ``where``, the setting and what is wrong with it."""
    try:
        return model.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "the settings"
        raise ConfigError(f"{where}: {name}: {first['msg']}.") from None


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
