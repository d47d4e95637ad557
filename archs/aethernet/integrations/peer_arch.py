"""Networks of others as an architecture of BasicSR, so that they train in the same pipeline as ours.

```yaml
network_g:
  type: aether_peer
  network: "spandrel:SPAN(num_in_ch=3, num_out_ch=3, feature_channels=28, upscale=4)"
```
"""

from torch import nn

from aethernet.integrations.peers import build_trainable
from aethernet.network.variants import FACTORIES


def aether_peer(network: str) -> nn.Module:
    """Builds the network of a text in the form in which it is trained.

    Args:
        network: `spandrel:Class(name=value, ...)` or `package.module:Class(name=value, ...)`; values are literals.

    Raises:
        ConfigError: no such class, or arguments that it refuses.
        MissingDependencyError: spandrel is not installed.
    """
    return build_trainable(network)


NETWORKS = (*FACTORIES, aether_peer)
"""What BasicSR gets."""
