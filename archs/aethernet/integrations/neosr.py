"""The networks as neosr wants them: it passes no scale, but has networks read it from the program's command line."""

import functools
import importlib
from collections.abc import Callable

from aethernet.network.network import AetherNet
from aethernet.network.variants import FACTORIES


def by_command_line(factory: Callable[..., AetherNet]) -> Callable[..., AetherNet]:
    """The factory with what `network_g` does not name from the command line.

    The scale is that of the option file, or `-s` of convert.py. Outside training the stage is `fused`, since convert.py
    passes no stage and its exporter takes the plain graph only; weights of stage train are fused as they load.
    """

    @functools.wraps(factory)
    def build(**fields) -> AetherNet:
        if not {"scale", "stage"} <= fields.keys():
            scale, is_training = importlib.import_module("neosr.archs.arch_util").net_opt()
            fields = {"scale": scale, "stage": "train" if is_training else "fused", **fields}
        return factory(**fields)

    return build


NETWORKS = tuple(by_command_line(factory) for factory in FACTORIES)
