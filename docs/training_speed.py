"""Time of a training iteration (forward, L1 loss, backward) of several networks in turn, and of a multiply-accumulate in it.

    python docs/training_speed.py MODEL [MODEL ...] [--batch 4 --patch 48 --threads 1 --rounds 10 --warmup 2]

MODEL is a variant such as aether_small_x4, or a network of others such as 'spandrel:Compact(num_feat=32, num_conv=8, upscale=4)',
in the form that is trained, with random weights. docs/architecture.md has the outcome.
"""

import argparse
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from aethernet.bench.complexity import network_complexity
from aethernet.bench.timing import time_in_turn
from aethernet.conditions import measurement_conditions
from aethernet.integrations.peers import build_trainable, probe_scale
from aethernet.network.config import NAME_PATTERN
from aethernet.network.network import AetherNet
from aethernet.network.variants import variant_config
from aethernet.tables import markdown_table, short_count

PASSES = 3
"""Forward, gradient of the input, gradient of the weights: each costs the forward pass's multiply-accumulates."""


def trainable(model: str) -> nn.Module:
    match = NAME_PATTERN.fullmatch(model)
    return AetherNet(variant_config(match[1], int(match[2]))) if match else build_trainable(model)


def training_iteration(network: nn.Module, batch: int, patch: int, scale: int) -> Callable[[], object]:
    """A callable that runs forward, L1 loss and backward once, without the optimiser's step."""
    lq, gt = torch.rand(batch, 3, patch, patch), torch.rand(batch, 3, patch * scale, patch * scale)

    def run() -> None:
        network.zero_grad(set_to_none=True)
        F.l1_loss(network(lq), gt).backward()

    return run


def arguments(parser: argparse.ArgumentParser) -> argparse.Namespace:
    for name, default in (("batch", 4), ("patch", 48), ("threads", 1), ("rounds", 10), ("warmup", 2)):
        parser.add_argument(f"--{name}", type=int, default=default, help="(default: %(default)s)")
    return parser.parse_args()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    args = arguments(parser)
    torch.manual_seed(0)
    networks = [trainable(model) for model in args.models]
    scales = [probe_scale(network.eval(), 3, model) for network, model in zip(networks, args.models, strict=True)]
    macs = [network_complexity(network, args.patch, args.patch).macs or 0 for network in networks]
    runs = [
        training_iteration(network.train(), args.batch, args.patch, scale)
        for network, scale in zip(networks, scales, strict=True)
    ]
    timings = time_in_turn(runs, rounds=args.rounds, warmup=args.warmup, threads=args.threads)
    rows = [
        [model, f"{timing.median_ms:.2f}", f"{timing.ratio:.3f}", short_count(args.batch * count),
         f"{PASSES * args.batch * count / timing.median_ms / 1e6:.0f}", f"{timing.ratio * macs[0] / count:.2f}"]
        for model, timing, count in zip(args.models, timings, macs, strict=True)
    ]  # fmt: skip
    print(markdown_table(["network", "ms", "ratio", "MACs", "GMAC/s, three passes", "per MAC"], rows))
    size = f"training on {args.batch} patches of {args.patch}x{args.patch}"
    print(f"\n{measurement_conditions(threads=args.threads, precision='fp32', size=size).sentence()}")


if __name__ == "__main__":
    main()
