# What `aethernet.NAME` is, for type checkers and for `lazy_loader`, which imports a name's module when it is asked for.

from .checkpoint import Checkpoint as Checkpoint
from .checkpoint import load_network as load_network
from .checkpoint import pretrained as pretrained
from .checkpoint import read_checkpoint as read_checkpoint
from .checkpoint import write_checkpoint as write_checkpoint
from .errors import AetherError as AetherError
from .network.calibration import calibrate as calibrate
from .network.config import AetherConfig as AetherConfig
from .network.network import AetherNet as AetherNet
from .network.variants import VARIANTS as VARIANTS
from .network.variants import aether_custom as aether_custom
from .network.variants import aether_large as aether_large
from .network.variants import aether_medium as aether_medium
from .network.variants import aether_small as aether_small
from .network.variants import aether_tiny as aether_tiny
from .version import __version__ as __version__
