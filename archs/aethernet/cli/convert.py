"""`aethernet convert`: a network on int8 grids in, the same network in integers out."""

import argparse
from pathlib import Path

from aethernet.cli import weights_file

HELP = "Convert a network that was calibrated or fine-tuned (stage qat) to integers (stage int8)."


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, help="a .pth that training wrote, or a .safetensors, of stage qat")
    weights_file.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from aethernet.checkpoint.checkpoint import read_checkpoint, write_checkpoint
    from aethernet.errors import StageError

    weights_file.check_out(args)
    checkpoint = read_checkpoint(args.checkpoint, args.key)
    stage = checkpoint.config.stage
    if stage != "qat":
        advice = "it is in integers already" if stage == "int8" else "find its ranges first, with `aethernet calibrate`"
        raise StageError(f"{args.checkpoint} is of stage {stage}, and those of stage qat are converted: {advice}")
    quantized = checkpoint.network().convert_to_quantized()
    write_checkpoint(args.out, quantized)
    size = args.out.stat().st_size / 1e6
    print(f"{args.checkpoint} ({checkpoint.key}): {checkpoint.config.title}; wrote {args.out} ({size:.2f} MB)")
    return 0
