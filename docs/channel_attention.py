"""How much the windows of a network with channel attention differ from the whole picture, by passes and by halo.

    python docs/channel_attention.py WEIGHTS PICTURE [--side 256 --core 128 --halos 16 32 64 96 --threads 1]

The middle of the picture, `side` pixels wide and high, is enlarged as a whole, then with the means of a pass over it, of two,
and so on; then in windows that take `core` pixels each, with the means of the whole picture and several halos.
docs/upscale.md has the outcome.
"""

import argparse
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from aethernet.checkpoint.checkpoint import load_network
from aethernet.conditions import measurement_conditions
from aethernet.data.pictures import middle, read_rgb
from aethernet.network.network import AetherNet
from aethernet.network.picture_means import PictureMeans
from aethernet.quality.evaluation import to_batch
from aethernet.tables import markdown_table
from aethernet.upscale.tiles import Plan, spans

SHOWN = (1, 2, 3, 4, 6, 8)


def windows(network: AetherNet, x: Tensor, core: int, halo: int) -> Tensor:
    """The picture computed in windows, with the means that are applied, or each with its own."""
    side, scale = x.shape[-1], network.config.scale
    plan = Plan(*[spans(side, min(side, core + halo), halo)] * 2)  # the picture's own edges need no halo
    out = torch.empty(1, 3, side * scale, side * scale)
    for row, column in plan:
        part = network(x[:, :, row.start : row.stop, column.start : column.stop])
        top, left = (row.first - row.start) * scale, (column.first - column.start) * scale
        bottom, right = (row.last - row.start) * scale, (column.last - column.start) * scale
        place = np.s_[:, :, row.first * scale : row.last * scale, column.first * scale : column.last * scale]
        out[place] = part[:, :, top:bottom, left:right]
    return out


def row(name: str, out: Tensor, whole: Tensor, change: float | None = None) -> list[str]:
    levels = (out.clamp(0, 1) - whole.clamp(0, 1)).abs() * 255
    changed = ((out.clamp(0, 1) * 255).round() != (whole.clamp(0, 1) * 255).round()).float().mean()
    said = "" if change is None else f"{change:.1e}"
    print(name, f"{levels.max():.2g}", f"{100 * changed:.2g}", said, flush=True)
    return [name, f"{levels.max():.2g}", f"{levels.mean():.1e}", f"{100 * changed:.2g} %", said]


@torch.inference_mode()
def measure(network: AetherNet, x: Tensor, core: int, halos: Sequence[int]) -> list[list[str]]:
    side = x.shape[-1]
    means, whole = PictureMeans(network), network(x)
    rows = [row(f"no pass, halo {halos[-1]}", windows(network, x, core, halos[-1]), whole)]
    for number in range(1, means.count + 1):
        with means.gathering():
            means.gather(x, slice(0, side), slice(0, side))
        if number in SHOWN or number == means.count:
            with means.applied():
                rows.append(row(f"{number} pass{'es' * (number > 1)}", network(x), whole, means.change))
    with means.applied():
        rows += [row(f"exact means, halo {halo}", windows(network, x, core, halo), whole) for halo in halos]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", metavar="WEIGHTS")
    parser.add_argument("picture", metavar="PICTURE")
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--core", type=int, default=128)
    parser.add_argument("--halos", type=int, nargs="+", default=[16, 32, 64, 96])
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    network = load_network(args.weights, stage="fused")
    picture = middle(read_rgb(args.picture)[0], args.side, args.side)
    rows = measure(network, torch.from_numpy(to_batch(picture, 3)), args.core, args.halos)
    print()
    print(markdown_table(["against the whole picture", "most, levels", "mean", "pixels that differ", "change"], rows))
    size = (
        f"{network.config.title}, radius {network.convolution_radius}, {args.side}x{args.side}, windows of {args.core}"
    )
    print(f"\n{measurement_conditions(threads=args.threads, precision='fp32', size=size).sentence()}")


if __name__ == "__main__":
    main()
