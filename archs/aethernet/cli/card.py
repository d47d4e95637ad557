"""`aethernet card`: a trained checkpoint made ready to be given away, with a model card of measured figures."""

import argparse
from pathlib import Path

from aethernet.flags import add_flags, note, with_options
from aethernet.release.settings import CardSettings
from aethernet.wording import how_many

HELP = "write a trained network as .safetensors, in both float forms or in int8, with a model card of measured figures"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, help="experiments/NAME/models/net_g_N.pth; its average is taken")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--sets", nargs="+", required=True, metavar="DIR", help="folders of high-resolution pictures: Set5 Set14 B100"
    )
    parser.add_argument(
        "--data-note", type=note, required=True, metavar="TEXT|FILE", help="the training data and what its licence allows"
    )  # fmt: skip
    add_flags(parser, CardSettings)


def run(args: argparse.Namespace) -> int:
    from aethernet.cli.progress import ProgressBars
    from aethernet.quality.report import quality_markdown
    from aethernet.release.weights import publish

    with ProgressBars() as bars:
        published = publish(
            args.checkpoint, args.out, args.sets, args.data_note, with_options(CardSettings, args), bars.titled
        )
    print(quality_markdown(published.quality, pictures=False), end="\n\n")
    for path in (*published.weights, published.card):
        print(f"{path} ({how_many(path.stat().st_size, 'byte')})")
    return 0
