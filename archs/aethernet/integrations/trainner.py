"""The networks as traiNNer-redux wants them: it lower-cases their names and builds them from `scale` and `network_g`."""

import functools

from aethernet.network.network import AetherNet
from aethernet.network.variants import FACTORIES, VARIANTS, aether_custom


@functools.wraps(aether_custom)
def custom(scale: int = 4, **fields) -> AetherNet:
    """`aether_custom` with the sizes of `small` unless one is given: its tests build all networks from a scale alone."""
    if "width" not in fields and "depths" not in fields:
        fields = {**VARIANTS["small"], **fields}
    return aether_custom(scale, **fields)


NETWORKS = tuple(custom if factory is aether_custom else factory for factory in FACTORIES)
