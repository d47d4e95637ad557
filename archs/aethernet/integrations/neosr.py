"""The networks as neosr wants them: it passes no scale, but has it read from the option file of its command line."""

import functools
import importlib
from collections.abc import Callable

from aethernet.network import AetherNet
from aethernet.variants import FACTORIES


def scaled(factory: Callable[..., AetherNet]) -> Callable[..., AetherNet]:
    """The factory with neosr's scale (`scale` in the file, `-s` of its convert.py) unless `network_g` names one."""

    @functools.wraps(factory)
    def build(**fields) -> AetherNet:
        if "scale" not in fields:
            fields["scale"], _ = importlib.import_module("neosr.archs.arch_util").net_opt()
        return factory(**fields)

    return build


NETWORKS = tuple(scaled(factory) for factory in FACTORIES)
