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
Channels = Annotated[int, Field(ge=1, le=4096)]
Blocks = Annotated[int, Field(ge=0, le=16)]
Side = Annotated[int, Field(ge=32, le=2048)]
Decay = Annotated[float, Field(ge=0, lt=1)]

MAX_DETAIL_SIDE = 1024
"""Pixels along the longer side of the largest photo that an F with detail control draws at its own scale."""
MARGIN = 32
"""Pixels of reflected photo around it, so that F does not draw the photo's border as a line."""


RENAMED = {
    "generator.widths": "generator.channels",
    "generator.top_width": "generator.top_channels",
    "generator.colour_field": "generator.colour_map",
    "generator.grain": "generator.noise_input",
    "generator.refined": "generator.coarse_to_fine",
    "generator.grey": "generator.greyscale",
    "discriminator.widths": "discriminator.channels",
    "data.made_share": "data.paired_prob",
    "data.hint_share": "data.hint_prob",
    "data.unfinished_share": "data.unfinished_prob",
    "data.evenness": "data.folder_balance",
    "loss.kind": "loss.gan_mode",
    "critic_pace": "discriminator_lr_ratio",
    "fixed_norms_from": "freeze_norms_from",
    "bfloat16": "precision",
}
"""Settings of earlier versions and what they are called now."""


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GeneratorConfig(Frozen):
    """A U-Net; the default has 4.91 M parameters (9.9 MB in half precision)."""

    channels: tuple[Channels, ...] = Field((32, 64, 128, 256, 192), min_length=2, max_length=7)
    """Channels after each halving of the resolution."""
    top_channels: Channels = 24
    """Channels at full resolution, where they cost most."""
    bottleneck_blocks: Blocks = 2
    colour_map: bool = True
    """Whether G is conditioned on a colour map."""
    background: bool = False
    """Whether G is told, too, if the colours are a photo's, background and all, or those of an object on paper."""
    noise_input: bool = True
    """Whether G gets a noise channel to make textures of."""
    coarse_to_fine: bool = True
    """Whether the U-Net works at half the resolution, with a local enhancer (pix2pixHD) after it. Light and shade of
    whole objects are best learnt at a low resolution, where an image also costs a quarter."""
    super_resolution: bool = False
    """Whether G paints at twice that resolution: a sub-pixel enhancer, which sees the drawing there, comes last."""
    greyscale: bool = False
    """Whether all channels of G's output are equal."""
    colour_sketches: bool = False
    """Whether those of F's may differ: in a drawing a tint would be a colour hint, but the domain of sketches may be
    another one of photos, as in horse2zebra."""
    decoder_blocks: tuple[Blocks, ...] = (0, 2, 1, 0)
    """Residual blocks after each step of the decoder, from stride 2 down to the stride before the bottleneck's."""
    detail: bool = False
    """Whether F is conditioned on how much detail to draw. Such an F knows photos of any scale, not only sheets."""

    @property
    def condition_channels(self) -> int:
        """Channels of the generator's second input."""
        return 3 * self.colour_map + self.background + self.detail

    def of(self, name: str) -> GeneratorConfig:
        """What "G" or "F" is built from: F draws crisp grey lines, which needs neither colours nor textures."""
        lines = {
            "colour_map": False,
            "background": False,
            "noise_input": False,
            "coarse_to_fine": False,
            "super_resolution": False,
            "greyscale": not self.colour_sketches,
        }
        return self.model_copy(update={"detail": False} if name == "G" else lines)

    @model_validator(mode="after")
    def _background_of_colours(self) -> GeneratorConfig:
        if self.background and not self.colour_map:
            raise ValueError("background needs colour_map")
        return self

    @model_validator(mode="after")
    def _one_entry_per_step(self) -> GeneratorConfig:
        if len(self.decoder_blocks) != len(self.channels) - 1:
            raise ValueError("decoder_blocks needs one entry for each entry of channels but the last")
        return self


class DiscriminatorConfig(Frozen):
    """A PatchGAN; with three entries it judges patches of 70×70 pixels."""

    channels: tuple[Channels, ...] = Field((32, 64, 128), min_length=1, max_length=5)
    """Channels after each halving of the resolution."""


class DataConfig(Frozen):
    """Two folders, of any nesting. Without sketches, or beside them, drawings are made from the photos."""

    photos: Path
    """A folder of photos, or a data set as ``training/files.py`` lists them: trainA and trainB, pictures A|B, a CSV, a
    dataset of the Hugging Face Hub, a pack. A pack's own sketches take the place of those below; its
    scenes do so where ``scenes`` is set."""
    sketches: Path | None = None
    paired_prob: float = Field(1.0, ge=0, le=1)
    """Probability that a sample's drawing belongs to its photo: given with it or, if there is none, made from it. The
    others are unpaired, of ``sketches``."""
    match_names: bool = True
    """Whether photos and sketches of the same names are pairs, if nearly all are."""
    scenes: Path | None = None
    """Photos of any kind, with their backgrounds. They are cropped, drawn with coherent lines in a random amount of
    detail, and G's colour map is the blurred photo."""
    scene_prob: float = Field(0.5, ge=0, le=1)
    """Probability that a sample is a crop of one of ``scenes``, if there are any."""
    fine_prob: float = Field(0.0, ge=0, le=1)
    """Probability that a scene's lines are those that it has at twice its scale, as G gets them of a photo."""
    paste_prob: float = Field(0.0, ge=0, le=1)
    """Probability that a scene has the object of one of ``photos`` pasted onto it."""
    vary_detail: bool = False
    """Whether drawings of ``photos``, too, get a random amount of detail as F's target."""
    size: Side = 256
    """Side of the square training images in pixels."""
    batch: PositiveInt = 8
    """Images of each domain a step, in all processes together."""
    workers: int | None = Field(None, ge=0)
    """Processes that prepare samples; 0 prepares them between the steps. None: one where the CPU trains, and for an
    accelerator all cores but one, shared by the processes of a run."""
    on_device: bool | None = None
    """Whether photos are moved, recoloured, jittered and blurred where the networks are, a batch at a time, instead of
    by the workers. None: unless that is a CPU."""
    held_out: float = Field(0.05, ge=0, lt=1)
    """Share of files kept back for evaluation, by a hash of their names."""
    hint_prob: float = Field(0.65, ge=0, le=1)
    """Probability that a paired drawing has colour hints: strokes in the photo's colours. 0 trains without them."""
    colourways: bool = False
    """Whether half of the photos whose drawing has no hints are recoloured region by region in a colourway."""
    smooth_prob: float = Field(0.0, ge=0, le=1)
    """Probability that, where a drawing of ``photos`` has no hints, G's colour map is the blurred photo."""
    steady: bool = False
    """Whether the lines of drawings lie where the photo's edges are, as if by a steady hand: from others no network can
    learn where exactly an edge is."""
    unfinished_prob: float = Field(0.15, ge=0, le=1)
    """Probability that the drawing of a plain object stops before its last stroke, as drawings do in live use."""
    folder_balance: float = Field(0.0, ge=0, le=1)
    """How evenly subfolders of photos are sampled. 0: every photo once an epoch; 1: every subfolder equally often; in
    between, photos of a folder n times smaller than the largest are repeated about n^folder_balance times."""
    min_scale: float = Field(0.6, gt=0, le=1)
    """Smallest size of the object, relative to the fitted photo."""
    max_scale: float = Field(1.0, gt=0, le=1)
    """Largest size, which half of the objects have. Photos smaller than ``size`` are sharp only where they are not
    enlarged: 0.5 for photos of 256 px on sheets of 512."""
    crop_from: Side | None = None
    """Side that images are resized to before a random crop of ``size``, mirrored or not, as in CycleGAN (286 to 256).
    None fits them on a white sheet, where they are moved, turned and scaled."""

    @model_validator(mode="after")
    def _scales_fit(self) -> DataConfig:
        if self.min_scale > self.max_scale:
            raise ValueError(f"min_scale is {self.min_scale}, larger than max_scale, {self.max_scale}")
        return self

    @model_validator(mode="after")
    def _crops_fit(self) -> DataConfig:
        if self.crop_from and self.crop_from < self.size:
            raise ValueError(f"crop_from is {self.crop_from}, smaller than size, {self.size}")
        return self


class LossConfig(Frozen):
    """Weights of the generators' losses (0 leaves a term out) and what they are made of; formulas in ``losses.py``."""

    gan_mode: Literal["vanilla", "lsgan"] = "lsgan"
    adversarial_photo: float = Field(1.0, ge=0)
    adversarial_sketch: float = Field(1.0, ge=0)
    cycle_sketch: float = Field(5.0, ge=0)
    cycle_photo: float = Field(5.0, ge=0)
    identity: float = Field(1.0, ge=0)
    paired_sketch: float = Field(0.0, ge=0)
    """L1 to the drawing made from the photo, which is unique."""
    paired_photo: float = Field(0.0, ge=0)
    """L1 to the photo that the drawing was made from. Many photos fit a drawing: a large weight yields their mean."""
    lines: float = Field(0.0, ge=0)
    """The same as ``paired_sketch``, with ink weighted up and some tolerance for its position."""
    colour: float = Field(0.0, ge=0)
    """L1 to that photo with both pooled by 8, where G is given its colours: elsewhere it would teach the mean."""
    feature_matching: float = Field(0.0, ge=0)
    """The same pairs, in the discriminators' features."""
    perceptual: float = Field(0.0, ge=0)
    """The same pairs, in the features of an ImageNet network."""
    texture: float = Field(0.0, ge=0)
    """The same pairs, in the local deviation of those features."""
    luminance: float = Field(0.0, ge=0)
    """The same pairs, in the deviation and the maximum of luminance in squares: light, shade and highlights."""
    projected: float = Field(0.0, ge=0)
    """Adversarial loss of the discriminator of ImageNet features."""
    perceptual_weights: Path | None = None
    """State dict of torchvision's MobileNetV2; None lets torchvision download it."""
    stop_gradient: bool = True
    """Photo cycle: no gradient through the drawing, or F hides the photo's colours in it as faint dots."""
    drawing_noise: float = Field(0.05, ge=0)
    """Standard deviation of the noise added to that drawing, so that nothing faint can be read from it."""
    alternate_cycles: bool = True
    """Sketch cycle on even steps, photo cycle on odd ones: a third less time per step."""
    sketch_every: int = Field(1, ge=0)
    """F and D_Y learn on every n-th step: theirs is the easier half. 0 keeps them fixed."""
    photo_every: int = Field(1, ge=0)
    """The same for G and D_X."""
    identity_every: PositiveInt = 5
    """Identity terms on every n-th step: they change slowly and cost two more passes."""

    def weight(self, name: str) -> float:
        """Weight of the loss ``name``, such as ``cycle/sketch`` or ``texture/photo``; 1 for those of discriminators."""
        term, own = name.partition("/")[0], name.replace("/", "_")
        return 1.0 if term == "discriminator" else getattr(self, own if own in LossConfig.model_fields else term)


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
    super_resolution_only: bool = False
    """Whether of G its super-resolution alone learns, the rest being what it is at inference; else all but that."""
    windows: PositiveInt = 4
    """How many windows of each sheet the super-resolution then learns from: most of a sheet is paper."""
    window: Annotated[int, Field(ge=32, multiple_of=2)] = 192
    """Their side in pixels."""
    steps: PositiveInt
    decay_from: float = Field(0.5, ge=0, le=1)
    """Share of the steps after which the learning rate goes to zero."""
    freeze_norms_from: float = Field(1.0, ge=0, le=1)
    """Share of the steps after which batch norm uses its running statistics, as in eval mode. In small batches a rare
    input, such as a thick pen, dominates the batch statistics, and would look different at inference."""
    learning_rate: float = Field(2e-4, gt=0)
    discriminator_lr_ratio: float = Field(1.0, gt=0)
    """The discriminators' learning rate relative to the generators' (Heusel et al., NeurIPS 2017: two time scales)."""
    betas: tuple[Decay, Decay] = (0.5, 0.999)
    """Adam's decay of the averages of gradients and of their squares."""
    schedule: Literal["linear", "cosine"] = "linear"
    """How the learning rate goes to zero from ``decay_from`` on: linearly, as in CycleGAN, or by half a cosine."""
    warm_up: float = Field(0.0, ge=0, le=1)
    """Share of the steps in which the learning rate first rises linearly."""
    max_gradient_norm: float | None = Field(None, gt=0)
    """Norm that the gradient of the generators, and that of the discriminators, is cut to; None leaves them."""
    accumulate: PositiveInt = 1
    """Parts that a batch is computed in, one after the other, where memory is short: gradients are those of the whole
    batch, but batch norm knows the part alone."""
    ema: float = Field(0.998, ge=0, lt=1)
    """Decay per step of the moving average of the generators, which is what is evaluated and exported."""
    pool: int = Field(50, ge=0)
    """Generated images kept for each discriminator (history pool); 0 shows it only the newest."""
    seed: int = Field(0, ge=0)
    precision: Literal["bfloat16", "float16", "float32"] | None = None
    """What convolutions compute in; parameters and losses are float32 always. bfloat16 is 1.4 times as fast on
    processors with instructions for it; float16, with scaled losses, is for GPUs that lack them (before Ampere). None:
    bfloat16, but float32 on a CPU that would emulate it."""
    compile: bool = False
    """Compile the networks with `torch.compile`, which takes minutes at the start and, on a CPU, a C++ compiler."""
    deterministic: bool = False
    """Only algorithms that give the same each time, on a GPU too, where they are slower."""
    early_stop: PositiveInt | None = None
    """Rows of losses.csv without progress after which the run is saved and stops; None goes on to the end."""
    wandb: str | None = None
    """Project of Weights & Biases to send the run to, if that package is installed; None sends nothing anywhere."""
    log_every: PositiveInt = 50
    """Steps a row of the CSV averages over."""
    sample_minutes: float = Field(5.0, gt=0)
    checkpoint_minutes: float = Field(5.0, gt=0)
    keep_checkpoints: PositiveInt = 2
    """Checkpoints kept, the newest included: if that is damaged, the one before takes its place."""

    @model_validator(mode="before")
    @classmethod
    def _bfloat16_or_not(cls, settings: Any) -> Any:
        """Runs of before have ``bfloat16``, true or false, and no ``precision``."""
        if isinstance(settings, dict) and isinstance(settings.get("bfloat16"), bool) and "precision" not in settings:
            old = dict(settings)
            precision = "bfloat16" if old.pop("bfloat16") else "float32"
            return old | {"precision": precision}
        return settings

    @property
    def previews(self) -> bool:
        """Whether G learns as it paints previews: a super-resolution that it has stays as it was."""
        return self.generator.super_resolution and not self.super_resolution_only

    @model_validator(mode="after")
    def _crops_have_no_colour_map(self) -> TrainConfig:
        if self.data.crop_from and self.generator.colour_map:
            raise ValueError("data.crop_from is for images as they are, without colour map: generator.colour_map=false")
        return self

    @model_validator(mode="after")
    def _something_learns(self) -> TrainConfig:
        if self.super_resolution_only and not self.generator.super_resolution:
            raise ValueError("super_resolution_only needs generator.super_resolution")
        loss = self.loss
        if self.super_resolution_only and (loss.sketch_every or loss.cycle_sketch or loss.cycle_photo or loss.identity):
            raise ValueError(
                "super_resolution_only is for the losses of G's photos: no cycle, identity or sketch_every"
            )
        if self.super_resolution_only and self.window > self.data.size:
            raise ValueError(f"window is {self.window}, larger than data.size, {self.data.size}")
        return self


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

    @property
    def photo_side(self) -> int:
        """Side in pixels of the photo that G paints of such a sheet, and of the sketch that it is given for it."""
        return self.image_size * (2 if self.generator.super_resolution else 1)


def load_train_config(path: Path, overrides: list[str] = []) -> TrainConfig:  # noqa: B006 (only read)
    """Read a TOML file, apply ``["key.of.setting=value", …]`` (values in TOML's syntax; bare words are strings; nothing
    takes the file's value away, so that the default holds)."""
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
        if value.strip():
            group[name] = _toml_value(value.strip())
        else:
            group.pop(name, None)
    return parse(TrainConfig, settings, str(path))


def parse(model: type[Model], settings: Any, where: str) -> Model:
    """Validate ``settings``; raises ConfigError naming ``where``, the setting and what is wrong with it."""
    try:
        return model.model_validate(settings)
    except ValidationError as error:
        errors = {".".join(map(str, one["loc"])): one["msg"] for one in error.errors()}
    if old := next((name for name in errors if name in RENAMED), None):
        raise ConfigError(f"{where}: {old} is called {RENAMED[old]} now.")
    name, message = next(iter(errors.items()))
    raise ConfigError(f"{where}: {name or 'the settings'}: {message}.")


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
