"""``python -m cyclegan``: translate images, make sketches from photos, evaluate weights, publish them."""

import argparse
import logging
import os
import sys
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

# Read once, when torch loads OpenMP: see demo/app.py.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
from PIL import Image
from tqdm import tqdm

from cyclegan.config import ConfigError
from cyclegan.drawing.pen import PENS, with_pen
from cyclegan.drawing.vector import svg_of
from cyclegan.hub import DEFAULT_FOLDER
from cyclegan.images import SUFFIXES, ImageError, open_image, to_rgb
from cyclegan.inference import DETAIL, Translator
from cyclegan.weights import WeightsError

EXAMPLES = """examples:
  python -m cyclegan sketch-to-photo shoe.png shoe-photo.png
  python -m cyclegan photo-to-sketch photos/ sketches/ --detail 0.4
  python -m cyclegan photo-to-sketch cat.jpg cat.svg
  python -m cyclegan make-sketches photos/ sketches/ --per-photo 3
  python -m cyclegan evaluate --photos photos/ --out evaluation/
  python -m cyclegan publish me/shoes --weights weights/ --dry-run
  python -m cyclegan deploy-space me/shoes-demo

A folder is searched with all its subfolders, and OUT gets the same ones. Results are PNG files unless OUT names another
kind of image. Exit code: 0 all well, 1 something failed (each failure is one line), 2 wrong usage.
"""

MEASURED = """Columns: photos from drawings of the photos in randomised styles, often little more than the outline
(lines), from clean and complete ones (traced), from the first with strokes in the photo's colours (hints), from the
drawings of A (sketches); other photos in their place (floor); the drawings themselves (ceiling).
"best" is the value to come near to: 0 for distances, 1 for ratios to the photos.

colour distance       sliced Wasserstein distance of the objects' pixels in CIELAB
texture distance      sliced Wasserstein distance of 7×7 patches, mean of the levels of the Laplacian pyramid
chroma ratio          how colourful the objects are
colour spread ratio   how far the objects' mean colours lie apart; low when all come out the same brown
colour count ratio    how many different mean colours there are
high-frequency ratio  how sharp the pictures are
shade ratio           how much light and shade lies on the objects: the deviation of smoothed L* within each
highlight ratio       share of an object that is lighter than what lies around it by 8 of L*
KID ×1000, FID        distances in the features of a network that knows photos; FID only compares at equal counts
inside filled         share of the object that is not white
outside clean         share of the rest that is white
cycle error           mean difference, 0 to 1, of the input and what comes back from the result
colour change by pen  largest change of an object's mean colour (0 to 255) between pens of 1 to 8 pixels; normalised:
                      once the drawing was normalised, as on the page
distance from hint    CIELAB distance of the colour around a hint from the hint's, in hues that cannot be guessed
ink, mid-grey ratio   darkness of the drawings, and share of pixels that are neither ink nor paper

Of the drawings C, if given, each drawn with an even pen:
colour change by pen     as above
jump while drawn         largest change of the object's mean colour (0 to 255) from one sixteenth to the next
progress while drawn     share of the sixteenths that bring the photo no farther from the finished one

Of the scenes D, if given, 768 px along the longer side: F's drawings (photos) beside its teacher's and Canny's edges
recall      share of the photo's strong, long edges with ink within 4 px
precision   share of the lines within 4 px of any edge
clutter     share of the lines where more than 0.12 px of line lie on a pixel around
dashes      share of the lines in pieces of less than 48 px
frame       share of the ink within 3 px of the border
crisp       grey pixels per pixel of ink
and, of their middle at the sheet's size, redrawn from F's lines and their own smooth colours (ceiling: these alone)
mean difference    of the pixels from the photo's, 0 to 255; colour and texture distance as above
feature distance   1 - cosine of the features of both; with --features
"""
WEIGHTS_HELP = "folder or Hub id owner/name[@revision]"

Convert = Callable[[Image.Image, Path], list[Image.Image]]
"""An RGB image and its path below IN → one or several results."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # cyclegan.images refuses such pictures
    try:
        if options.command in ("publish", "deploy-space"):
            return _publish(options)
        return _evaluate(options) if options.command == "evaluate" else _convert(options, parser)
    except (ConfigError, ImageError, WeightsError) as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return _fail("Stopped.")


def _convert(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    source, target = options.source, options.target
    if not source.exists():
        parser.error(f"{source} is not there")
    if source.is_dir() and target.is_file():
        parser.error(f"{source} is a folder, so OUT must be one too, not the file {target}")
    jobs = _jobs(source, target, ".svg" if getattr(options, "svg", False) else ".png")
    if any(output in jobs for output in jobs.values()):
        parser.error(f"{target} would overwrite images of {source}; choose another OUT")
    if not jobs:
        return _fail(f"There are no images in {source}.")
    convert = _make_sketches(options) if options.command == "make-sketches" else _translate(options)
    return _run(jobs, source, target, convert, getattr(options, "pen", 1.0))


def _parser() -> argparse.ArgumentParser:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m cyclegan", description="Sketch ↔ photo.", epilog=EXAMPLES, formatter_class=plain
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in (
        ("sketch-to-photo", "turn line drawings into photos"),
        ("photo-to-sketch", "turn photos into line drawings"),
        ("make-sketches", "draw photos in many hand-like styles, without a network (training material)"),
    ):
        command = commands.add_parser(name, help=text, description=text, epilog=EXAMPLES, formatter_class=plain)
        command.add_argument("source", type=Path, metavar="IN", help="an image or a folder of images")
        command.add_argument("target", type=Path, metavar="OUT", help="the result, or a folder for it")
        if name == "make-sketches":
            command.add_argument("--per-photo", type=_positive, default=1, metavar="N", help="drawings a photo (1)")
            command.add_argument("--seed", type=int, default=0, help="other seeds give other drawings (0)")
        else:
            command.add_argument("--weights", default=DEFAULT_FOLDER, help=WEIGHTS_HELP)
        if name == "photo-to-sketch":
            command.add_argument(
                "--detail", type=_share, default=DETAIL, help="0, outlines, to 1, every line (%(default)s)"
            )
            low, high = PENS
            command.add_argument(
                "--pen", type=_pen, default=1.0, metavar="W", help=f"lines W times as wide, {low:g} to {high:g}"
            )
            command.add_argument("--svg", action="store_true", help="write paths for plotters and editors, not pixels")
        if name == "sketch-to-photo":
            command.add_argument(
                "--colours", type=Path, metavar="PHOTO", help="give the photos the colours of this one"
            )
            command.add_argument(
                "--raw", action="store_true", help="do not normalise drawings: no other pens, no paper, no dark ground"
            )
            command.add_argument("--seed", type=int, help="colours of all photos; without it each drawing has its own")
    text = "measure weights on images that they were not trained on"
    command = commands.add_parser("evaluate", help=text, description=text, epilog=MEASURED, formatter_class=plain)
    command.add_argument("--weights", default=DEFAULT_FOLDER, help=WEIGHTS_HELP)
    command.add_argument("--photos", type=Path, required=True, metavar="B", help="the folder of photos trained on")
    command.add_argument("--sketches", type=Path, metavar="A", help="drawings that belong to no photo")
    command.add_argument("--drawings", type=Path, metavar="C", help="strokes as JSON: sheets of pens, colours, stages")
    command.add_argument("--scenes", type=Path, metavar="D", help="photos of any kind, to measure their drawings")
    command.add_argument("--all", action="store_true", help="use every file, not only those kept back from training")
    command.add_argument("--held-out", type=_share, metavar="S", help="share kept back, if not what the weights say")
    command.add_argument("--count", type=_positive, default=200, metavar="N", help="at most so many of each (200)")
    command.add_argument(
        "--features", metavar="FILE", help="for KID and FID: a mobilenet_v2 of torchvision, or none (Inception)"
    )
    command.add_argument("--out", type=Path, default=Path("evaluation"), help="folder for the results (evaluation)")
    for name, text in (
        ("publish", "upload weights with a model card to the Hugging Face Hub"),
        ("deploy-space", "make this demo a Space of the Hugging Face Hub, or update it"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("repository", metavar="OWNER/NAME", help="created where it is missing")
        command.add_argument("--weights", default=DEFAULT_FOLDER, help=WEIGHTS_HELP if name != "publish" else "folder")
        command.add_argument("--private", action="store_true", help="if it is created: for your eyes only")
        command.add_argument("--dry-run", action="store_true", help="only show what would be uploaded")
        if name == "publish":
            command.add_argument("--dataset", action="append", default=[], metavar="ID", help="on the Hub, trained on")
    return parser


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _pen(text: str) -> float:
    if not PENS[0] <= (number := float(text)) <= PENS[1]:
        raise argparse.ArgumentTypeError(f"must be between {PENS[0]:g} and {PENS[1]:g}")
    return number


def _share(text: str) -> float:
    if not 0 <= (number := float(text)) <= 1:
        raise argparse.ArgumentTypeError("must be between 0 and 1")
    return number


def _jobs(source: Path, target: Path, suffix: str = ".png") -> dict[Path, Path]:
    """Each image of `source` and where its result goes: the same subfolder and name, with `suffix`."""
    if source.is_file():
        named = target.suffix.lower() in (*SUFFIXES, ".svg") and not target.is_dir()
        return {source.resolve(): (target if named else target / f"{source.stem}{suffix}").resolve()}
    source, target = source.resolve(), target.resolve()
    files = [
        path
        for path in sorted(source.rglob("*"))
        if path.suffix.lower() in SUFFIXES and path.is_file() and (target == source or target not in path.parents)
    ]
    stems = Counter(path.with_suffix("") for path in files)
    return {
        path: target
        / path.relative_to(source).with_name(
            f"{path.stem if stems[path.with_suffix('')] == 1 else path.name}{suffix}"  # shoe.jpg beside shoe.png
        )
        for path in files
    }


def _translate(options: argparse.Namespace) -> Convert:
    translator = Translator.from_pretrained(options.weights)
    if options.command == "sketch-to-photo":
        colours = to_rgb(open_image(options.colours)) if options.colours else None
        return lambda image, _: [translator.sketch_to_photo(image, options.seed, colours, not options.raw)]
    return lambda image, _: [translator.photo_to_sketch(image, options.detail)]


def _make_sketches(options: argparse.Namespace) -> Convert:
    from cyclegan.drawing.tracing import Style, sketch  # OpenCV: not needed to translate

    def convert(image: Image.Image, name: Path) -> list[Image.Image]:
        # Seeded by the name, so that a photo's drawings do not change when another photo is added.
        seeds = [zlib.crc32(f"{options.seed}/{name.as_posix()}/{n}".encode()) for n in range(options.per_photo)]
        return [sketch(image, Style.random(np.random.default_rng(seed)), seed) for seed in seeds]

    return convert


def _evaluate(options: argparse.Namespace) -> int:
    from cyclegan.evaluation import drawings, features, full_size, held_out, report, scenes  # not needed to translate

    extractor = None
    if options.features != "none":
        try:
            extractor = features.load_extractor(Path(options.features) if options.features else None)
        except features.FeaturesError as error:
            if options.features:
                return _fail(str(error))
            tqdm.write(str(error))  # all other numbers need nothing
    translator = Translator.from_pretrained(options.weights)
    share = 1.0 if options.all else options.held_out or held_out.held_out_share(translator.config)
    material = held_out.gather(
        translator.config, options.photos, options.sketches, options.count, options.all, options.held_out
    )
    fixed = drawings.read_drawings(options.drawings, translator.config.image_size) if options.drawings else {}
    photos = scenes.read_scenes(options.scenes, share, options.count) if options.scenes else []
    full = translator.config.photo_side
    sharp = scenes.read_scenes(options.scenes, share, options.count, full) if options.scenes else []
    result = report.evaluate(translator, material, extractor)
    if photos:
        result = scenes.with_scenes(result, translator, photos, extractor)
    result = full_size.with_full_size(result, translator, material, sharp)
    if fixed:
        result = drawings.with_drawings(result, translator, fixed)
    result.save(options.out)
    tqdm.write(f"{result.weights}; {result.photos} photos, {result.sketches} sketches\n\n{result.table()}\n")
    tqdm.write(f"evaluation.json and sheets to look at are in {options.out}")
    return 0


def _publish(options: argparse.Namespace) -> int:
    from cyclegan.publishing import upload as publishing  # most of the Hub's client: not needed to translate

    name = options.repository
    try:
        if options.command == "publish":
            upload = publishing.model_upload(name, options.weights, options.dataset)
        else:
            upload = publishing.space_upload(name, options.weights)
        tqdm.write(upload.listing())
        if options.dry_run:
            tqdm.write(f"\n{upload.readme}")
            return 0
        url = publishing.send(upload, options.private)
        if options.command == "publish":
            publishing.read_back(name, options.weights)
    except publishing.PublishError as error:
        return _fail(str(error))
    tqdm.write(url)
    return 0


def _run(jobs: dict[Path, Path], source: Path, target: Path, convert: Convert, pen: float) -> int:
    root = source.resolve() if source.is_dir() else source.resolve().parent
    failed = 0
    for path, output in tqdm(jobs.items(), unit="image", disable=None):  # silent where nobody watches
        name = path.relative_to(root)
        try:
            results = convert(to_rgb(open_image(path)), name)
            output.parent.mkdir(parents=True, exist_ok=True)
            for number, result in enumerate(results, start=1):
                _save(result, output if len(results) == 1 else output.with_stem(f"{output.stem}-{number}"), pen)
        except (ImageError, OSError) as error:
            failed += 1
            tqdm.write(f"{name}: {error}", file=sys.stderr)
    tqdm.write(f"{len(jobs) - failed} of {len(jobs)} images done, in {target}")
    return 1 if failed else 0


def _save(result: Image.Image, output: Path, pen: float) -> None:
    if output.suffix.lower() == ".svg":
        output.write_text(svg_of(np.asarray(result), pen), encoding="utf-8")
    else:
        Image.fromarray(with_pen(np.asarray(result), pen)).save(output)


def _fail(message: str) -> int:
    tqdm.write(message, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
