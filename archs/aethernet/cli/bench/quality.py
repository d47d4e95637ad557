"""`aethernet bench quality`: Y-PSNR and SSIM on folders of pictures."""

import argparse

from aethernet.cli.bench.shared import publish
from aethernet.cli.progress import ProgressBars
from aethernet.data.damaged import MOST_DAMAGED
from aethernet.errors import UsageError
from aethernet.flags import not_negative, positive, with_options

HELP = "Y-PSNR and SSIM on folders of pictures"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="packaged weights such as aether_tiny_x4, a weights file, an .onnx or .param file, bicubic (on Y, as published), or "
        "bicubic_rgb (on the networks' path)",
    )
    parser.add_argument(
        "--sets", nargs="+", required=True, metavar="DIR", help="folders of high-resolution pictures, such as Set5"
    )
    parser.add_argument("--lr", nargs="+", default=(), metavar="DIR", help="ready-made inputs, one folder for each set")
    parser.add_argument(
        "--degrade",
        type=degradation,
        metavar="WHAT",
        help="what made inputs suffer beside their reduction, as photographs do: blur=0.5,noise=3,jpeg=75, or some of these",
    )
    parser.add_argument("--scale", type=int, help="needed for bicubic alone; networks have their own")
    parser.add_argument("--device", default="cpu", help="PyTorch device for networks (default: %(default)s)")
    parser.add_argument("--threads", type=positive, help="threads (default: all)")
    parser.add_argument(
        "--max-damaged", type=not_negative, default=MOST_DAMAGED, metavar="N",
        help="pictures of all sets together that may be unreadable; they are left out for every model, and the table says so "
        "(default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--summary", action="store_true", help="print the means only, without every picture")


def degradation(text: str) -> object:
    from aethernet.data.photo import PhotoDegradation

    try:
        return PhotoDegradation.read(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def run(args: argparse.Namespace) -> int:
    from aethernet.quality.report import quality_markdown
    from aethernet.quality.scores import measure_quality

    with ProgressBars() as bars:
        report = with_options(measure_quality, args, progress=bars.titled)
    return publish(args, report, quality_markdown(report, pictures=not args.summary))
