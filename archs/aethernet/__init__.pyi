# What `aethernet.NAME` is, for type checkers and for `lazy_loader`, which imports a name's module when it is asked for.

from . import pretrained as pretrained
from .calibration import calibrate as calibrate
from .checkpoint import Checkpoint as Checkpoint
from .checkpoint import load_network as load_network
from .checkpoint import read_checkpoint as read_checkpoint
from .checkpoint import write_checkpoint as write_checkpoint
from .config import AetherConfig as AetherConfig
from .network import AetherNet as AetherNet
from .variants import VARIANTS as VARIANTS
from .variants import aether_custom as aether_custom
from .variants import aether_large as aether_large
from .variants import aether_medium as aether_medium
from .variants import aether_small as aether_small
from .variants import aether_tiny as aether_tiny
from .version import __version__ as __version__
