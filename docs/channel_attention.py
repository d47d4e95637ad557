"""How much the windows of a network with channel attention differ from the whole picture, by passes and by halo.

    python docs/channel_attention.py WEIGHTS PICTURE [--side 256 --core 128 --halo 32 --halos 16 32 64 96 --passes 4
        --strength 1 --threads 1]

The middle of the picture, `side` pixels wide and high, is enlarged as a whole, then with the means of a pass over its windows,
of two, and so on, windows of `core` pixels with a `halo`; then in windows with exact means and several halos.
`strength` multiplies both layers of every attention, which a short training leaves near their beginnings: a harder case.
docs/upscale.md has the outcome.
"""

import argparse

import numpy as np
import torch
from torch import Tensor

from aethernet.checkpoint.checkpoint import load_network
from aethernet.conditions import measurement_conditions
from aethernet.data.pictures import middle, read_rgb
from aethernet.network.blocks import ChannelAttention
from aethernet.network.network import AetherNet
from aethernet.network.picture_means import PictureMeans
from aethernet.quality.evaluation import to_batch
from aethernet.tables import markdown_table
from aethernet.upscale.tiles import Plan, spans


def plan(side: int, core: int, halo: int) -> Plan:
    """Windows with a halo where they meet; the picture's own edges need none."""
    axis = spans(side, min(side, core + halo), halo)
    return Plan(axis, axis)


def enlarged(network: AetherNet, x: Tensor, core: int, halo: int) -> Tensor:
    """The picture computed in windows, with the means that are applied, or each with its own."""
    side, scale = x.shape[-1], network.config.scale
    out = torch.empty(1, 3, side * scale, side * scale)
    for row, column in plan(side, core, halo):
        part = network(x[:, :, row.start : row.stop, column.start : column.stop])
        top, left = (row.first - row.start) * scale, (column.first - column.start) * scale
        bottom, right = (row.last - row.start) * scale, (column.last - column.start) * scale
        place = np.s_[:, :, row.first * scale : row.last * scale, column.first * scale : column.last * scale]
        out[place] = part[:, :, top:bottom, left:right]
    return out


def gather(means: PictureMeans, x: Tensor, windows: Plan) -> None:
    """One pass."""
    with means.gathering():
        for row, column in windows:
            window = x[:, :, row.start : row.stop, column.start : column.stop]
            rows, columns = (
                slice(row.first - row.start, row.last - row.start),
                slice(column.first - column.start, column.last - column.start),
            )
            means.gather(window, rows, columns)


def line(name: str, out: Tensor, whole: Tensor, change: float | None = None) -> list[str]:
    levels = (out.clamp(0, 1) - whole.clamp(0, 1)).abs() * 255
    changed = ((out.clamp(0, 1) * 255).round() != (whole.clamp(0, 1) * 255).round()).float().mean()
    said = "" if change is None else f"{change:.0e}"
    found = [name, f"{levels.max():.2g}", f"{levels.mean():.0e}", f"{100 * changed:.2g} %", said]
    print(*found, flush=True)
    return found


@torch.inference_mode()
def measure(network: AetherNet, x: Tensor, args: argparse.Namespace) -> list[list[str]]:
    whole, means = network(x), PictureMeans(network)
    lines = [line("each window's own means", enlarged(network, x, args.core, args.halo), whole)]
    for number in range(1, min(args.passes, means.count) + 1):
        gather(means, x, plan(args.side, args.core, args.halo))
        with means.applied():
            lines.append(line(f"means of {number} pass{'es' * (number > 1)}", network(x), whole, means.change))
    exact = PictureMeans(network)
    gather(exact, x, plan(args.side, args.side, 0))
    with exact.applied():
        lines += [
            line(f"exact means, halo {halo}", enlarged(network, x, args.core, halo), whole) for halo in args.halos
        ]
    return lines


@torch.no_grad()
def strengthen(network: AetherNet, factor: float) -> None:
    for module in network.modules():
        if isinstance(module, ChannelAttention):
            module.squeeze.weight.mul_(factor)
            module.excite.weight.mul_(factor)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", metavar="WEIGHTS")
    parser.add_argument("picture", metavar="PICTURE")
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--core", type=int, default=128)
    parser.add_argument("--halo", type=int, default=32)
    parser.add_argument("--halos", type=int, nargs="+", default=[16, 32, 64, 96])
    parser.add_argument("--passes", type=int, default=4)
    parser.add_argument("--strength", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    network = load_network(args.weights, stage="fused")
    strengthen(network, args.strength)
    picture = middle(read_rgb(args.picture)[0], args.side, args.side)
    lines = measure(network, torch.from_numpy(to_batch(picture, 3)), args)
    print()
    print(
        markdown_table(
            ["against the whole picture", "most, levels", "mean", "pixels that differ", "last change of a weight"],
            lines,
        )
    )
    size = (
        f"{network.config.title}, radius {network.convolution_radius}, {args.side}x{args.side}, windows of {args.core}"
    )
    print(f"\n{measurement_conditions(threads=args.threads, precision='fp32', size=size).sentence()}")


if __name__ == "__main__":
    main()
