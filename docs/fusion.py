"""What fusion saves in the forward pass, and what each part of a network costs in a training iteration, measured in turn.

    python docs/fusion.py VARIANT [VARIANT ...] [--scale 4 --batch 4 --patch 48 --threads 1 --rounds 10 --warmup 2]

docs/measurements.md has the outcome.
"""

import argparse
import copy
import dataclasses
import functools

import torch
from torch import Tensor, nn
from training_speed import arguments, training_iteration

from aethernet.bench.timing import time_in_turn
from aethernet.conditions import measurement_conditions
from aethernet.network.blocks import GatedConvFFN, ReparamLargeKernelConv, ScaledConv2d
from aethernet.network.config import AetherConfig
from aethernet.network.depthwise import depthwise_conv2d
from aethernet.network.network import AetherNet
from aethernet.network.variants import variant_config
from aethernet.tables import markdown_table

SIZE = 128
"""Side of the low-resolution input of the forward pass."""


class LargeKernelConv(nn.Module):
    """`ReparamLargeKernelConv` without the small kernel."""

    bias: nn.Parameter | None

    def __init__(self, mixer: ReparamLargeKernelConv) -> None:
        super().__init__()
        self.large, self.bias, self.norm = mixer.large, mixer.bias, mixer.norm

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(depthwise_conv2d(x, self.large, self.bias))


def ablations(config: AetherConfig) -> dict[str, AetherNet]:
    """The network in train mode, whole first, then with one part left out each; weights are random.

    The norm is in its first phase, on batch statistics; frozen is its second phase, in which it is affine. A network of
    plain blocks has none of these parts.
    """
    config = dataclasses.replace(config, stage="train", norm_freeze_iter=None)
    networks = {"nothing": AetherNet(config)}
    if config.block != "plain":
        smallest = (3,) * len(config.depths)
        networks |= {
            "large kernel (3x3 only)": AetherNet(dataclasses.replace(config, kernel_size=smallest)),
            "3x3 branch": AetherNet(config),
            "norm": AetherNet(dataclasses.replace(config, norm_type="none")),
            "batch statistics (norm frozen)": AetherNet(dataclasses.replace(config, norm_freeze_iter=0)),
            "temperature and scales": AetherNet(config),
        }
        for name, module in list(networks["3x3 branch"].named_modules()):
            if isinstance(module, ReparamLargeKernelConv):
                networks["3x3 branch"].set_submodule(name, LargeKernelConv(module))
        for module in networks["temperature and scales"].modules():
            if isinstance(module, GatedConvFFN):
                for name in ("gate", "out"):
                    part = module.get_submodule(name)
                    assert isinstance(part, ScaledConv2d)
                    module.set_submodule(name, part.conv)
    return {name: network.train() for name, network in networks.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="+", metavar="VARIANT")
    parser.add_argument("--scale", type=int, default=4)
    args = arguments(parser)
    torch.manual_seed(0)
    turns = {"rounds": args.rounds, "warmup": args.warmup, "threads": args.threads}
    rows = []
    for variant in args.variants:
        config = variant_config(variant, args.scale)
        unfused = AetherNet(config).eval()
        forms = {"fused": copy.deepcopy(unfused).fuse_model(), "unfused": unfused}
        x = torch.rand(1, config.in_channels, SIZE, SIZE)
        with torch.inference_mode():
            timings = time_in_turn([functools.partial(network, x) for network in forms.values()], **turns)
        rows += [(variant, f"forward, {form}", time) for form, time in zip(forms, timings, strict=True)]
        parts = ablations(config)
        runs = [training_iteration(network, args.batch, args.patch, args.scale) for network in parts.values()]
        timings = time_in_turn(runs, **turns)
        rows += [(variant, f"training without {part}", time) for part, time in zip(parts, timings, strict=True)]
    cells = [(variant, what, f"{time.median_ms:.2f}", f"{time.ratio:.3f}") for variant, what, time in rows]
    print(markdown_table(["variant", "pass", "ms", "ratio"], cells))
    size = f"input {SIZE}x{SIZE}, training on {args.batch} patches of {args.patch}x{args.patch}"
    print(f"\n{measurement_conditions(threads=args.threads, precision='fp32', size=size).sentence()}")


if __name__ == "__main__":
    main()
