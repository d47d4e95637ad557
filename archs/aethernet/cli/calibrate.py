"""`aethernet calibrate`: float weights in, a checkpoint of stage qat with the ranges of all activations out."""

import argparse
from pathlib import Path
from typing import get_args

from aethernet.cli import weights_file
from aethernet.cli.progress import ProgressBars
from aethernet.data.damaged import MOST_DAMAGED
from aethernet.flags import not_negative
from aethernet.quantization.settings import CALIBRATION_PICTURES, LEAST_PERCENTILE, PARTS, PERCENTILE, WeightBits

HELP = "Set the ranges of activations on real pictures: a qat-stage checkpoint to train or to convert to int8."


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", help="a .pth that training wrote, a .safetensors, or packaged weights")
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, metavar="DIR", help="folders of high-resolution pictures"
    )
    parser.add_argument("-n", "--number", type=int, default=CALIBRATION_PICTURES, metavar="N",
                        help=f"pictures to take (default: {CALIBRATION_PICTURES})")  # fmt: skip
    parser.add_argument(
        "--max-damaged", type=not_negative, default=MOST_DAMAGED, metavar="N",
        help="pictures that may be unreadable and are left out (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--percentile",
        type=float,
        default=PERCENTILE,
        metavar="P",
        help=f"of an activation's magnitudes, at least {LEAST_PERCENTILE}; 100 is the largest value (default: {PERCENTILE})",
    )
    parser.add_argument(
        "--preset", default="ort", help="what is int8: ort, openvino, tensorrt or quality (default: ort)"
    )
    parser.add_argument(
        "--float",
        nargs="+",
        default=[],
        choices=PARTS,
        metavar="PART",
        help=f"parts to leave in float beside those of the preset: {', '.join(PARTS)}",
    )
    parser.add_argument(
        "--weight-bits",
        type=int,
        default=7,
        choices=get_args(WeightBits),
        help="7 is right on every CPU; 8 is a finer grid for TensorRT, ARM and x86 with VNNI alone (default: 7)",
    )
    weights_file.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from aethernet.checkpoint.checkpoint import read_checkpoint, write_checkpoint
    from aethernet.data.calibration import CalibrationInputs
    from aethernet.network.calibration import calibrate
    from aethernet.quantization.fake import quantizers
    from aethernet.wording import how_many

    weights_file.check_out(args)
    network = read_checkpoint(args.weights, args.key).network()
    title = network.config.title
    inputs = CalibrationInputs(
        args.data, network.config.scale, network.config.in_channels, args.number, args.max_damaged
    )
    with ProgressBars() as bars:
        calibrate(
            network,
            inputs,
            quantization={
                "preset": args.preset,
                "weight_bits": args.weight_bits,
                **dict.fromkeys(args.float, "float"),
            },
            percentile=args.percentile,
            progress=bars.titled("calibrating"),
        )
    write_checkpoint(args.out, network)
    ranges = sorted(quantizer.range.item() for _, quantizer in quantizers(network))
    print(
        f"{title} on {how_many(len(inputs), 'picture')}{inputs.damaged.note()}: {how_many(len(ranges), 'range')} from {ranges[0]:.3g} to {ranges[-1]:.3g}; wrote "
        f"{args.out} ({network.config.title})"
    )
    return 0
