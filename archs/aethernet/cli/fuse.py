"""`aethernet fuse`: a trained checkpoint in, the plain network out, with the proof that both are the same."""

import argparse
from pathlib import Path

from aethernet.cli import weights_file
from aethernet.wording import how_many

HELP = "Fuse a trained checkpoint into the plain network and prove that nothing changed."


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, help="a .pth that training wrote, or a .safetensors")
    weights_file.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    import copy

    from aethernet.checkpoint.checkpoint import read_checkpoint, write_checkpoint
    from aethernet.cli.progress import ProgressBars
    from aethernet.data.proof import proof_inputs
    from aethernet.errors import CheckpointError, StageError
    from aethernet.network.parity import FLOAT32_BOUND, FLOAT64_BOUND, fusion_parity

    weights_file.check_out(args)
    checkpoint = read_checkpoint(args.checkpoint, args.key)
    network = checkpoint.network()
    print(f"{args.checkpoint} ({checkpoint.key}): {network.config.title}")
    if network.config.stage != "train":
        raise StageError(f"{args.checkpoint} is of stage {network.config.stage!r} already: nothing to fuse")
    fused = copy.deepcopy(network).fuse_model()
    with ProgressBars() as bars:
        records = fusion_parity(network, proof_inputs(network.config.in_channels), bars.titled("proving"))
    print(f"\n{'input':<24}{'shape':<22}{'float32':>12}{'float64':>12}")
    for record in records:
        print(f"{record.name:<24}{record.shape!s:<22}{record.float32:>12.2e}{record.float64:>12.2e}")
    if not all(record.holds for record in records):
        raise CheckpointError(
            f"fused and unfused differ by more than {FLOAT32_BOUND:g} (float32) or {FLOAT64_BOUND:g} (float64), so "
            "nothing was written: the weights hold extreme or non-finite values, look at the training log"
        )
    write_checkpoint(args.out, fused)
    before, after = (sum(parameter.numel() for parameter in net.parameters()) for net in (network, fused))
    size = args.out.stat().st_size / 1e6
    print(f"\nfused equals unfused; {before:,} -> {how_many(after, 'parameter')}; wrote {args.out} ({size:.2f} MB)")
    return 0
