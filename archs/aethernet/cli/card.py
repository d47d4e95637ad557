"""`aethernet card`: a trained checkpoint made ready to be given away, with a model card of measured figures."""

import argparse
from pathlib import Path

from aethernet.cli.arguments import note, with_options

HELP = "write a trained network as .safetensors, in both float forms or in int8, with a model card of measured figures"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, help="experiments/NAME/models/net_g_N.pth; its average is taken")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--sets", nargs="+", required=True, metavar="DIR", help="folders of high-resolution pictures: Set5 Set14 B100"
    )
    parser.add_argument(
        "--data-note",
        type=note,
        required=True,
        metavar="TEXT|FILE",
        help="the training data and what its licence allows",
    )
    parser.add_argument("--datasets", nargs="+", default=(), metavar="NAME", help="names of the training data for hubs")
    parser.add_argument(
        "--license", dest="license_id", metavar="ID", help="of the weights (default: other, research use)"
    )
    parser.add_argument(
        "--against", metavar="WEIGHTS", help="for weights of stage qat: the float weights that they came from"
    )
    parser.add_argument("--experiment", type=Path, metavar="DIR", help="its folder, if the checkpoint lies elsewhere")
    parser.add_argument("--name", help="name of the files (default: such as aether_tiny_x4)")
    parser.add_argument("--commit", default="", help="of the sources that trained it (default: of this checkout)")
    parser.add_argument("--force", action="store_true", help="overwrite existing files")


def run(args: argparse.Namespace) -> int:
    from aethernet.cli.progress import ProgressBars
    from aethernet.quality.report import quality_markdown
    from aethernet.release.weights import publish

    with ProgressBars() as bars:
        published = with_options(publish, args, progress=bars.titled)
    print(quality_markdown(published.quality, pictures=False), end="\n\n")
    for path in (*published.weights, published.card):
        print(f"{path} ({path.stat().st_size:,} bytes)")
    return 0
