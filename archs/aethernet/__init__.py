"""AetherNet: single-image super-resolution made to be deployed.

Importing this package imports neither torch nor a training framework: a name of it is imported when it is used (the
names stand in `__init__.pyi`). `import aether_arch` registers the networks into the frameworks at hand.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
