"""AetherNet for spandrel, the library that chaiNNer and ComfyUI load models with.

`install()` adds it to spandrel's registry; every `ModelLoader` then knows our files. (What `peers` does is the
reverse: it takes networks of others from spandrel.)
"""

import itertools
from collections.abc import Iterator

import torch

from aethernet.checkpoint.checkpoint import bare_names, require_whole
from aethernet.errors import CheckpointError, MissingDependencyError, RegistrationError
from aethernet.integrations.basicsr import compat
from aethernet.network.config import CONFIG_KEY, AetherConfig, unpack_fields
from aethernet.network.migrations import up_to_date
from aethernet.network.network import AetherNet

compat.apply()  # spandrel imports torchvision
try:
    from spandrel import (
        MAIN_REGISTRY,
        Architecture,
        ArchRegistry,
        ArchSupport,
        ImageModelDescriptor,
        ModelTiling,
        StateDict,
    )
except ModuleNotFoundError as missing:
    raise MissingDependencyError(f"{missing.name} is missing: pip install spandrel") from missing


class AetherNetDescriptor(ImageModelDescriptor[AetherNet]):
    """Also tells device and type of a network of stage int8, which has buffers and no parameters."""

    @property
    def device(self) -> torch.device:
        return next(self._tensors()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self._tensors()).dtype

    def _tensors(self) -> Iterator[torch.Tensor]:
        tensors = itertools.chain(self.model.parameters(), self.model.buffers())
        return (tensor for tensor in tensors if tensor.is_floating_point())


class AetherNetArch(Architecture[AetherNet]):
    """Finds and loads AetherNet weights of every stage; its descriptor's model is an `AetherNet` in eval mode."""

    license_name = "MIT"
    """SPDX name of the licence of the code. That of weights is their author's choice and stands in their file's header."""

    def __init__(self) -> None:
        super().__init__(id="AetherNet", detect=is_aethernet)

    def load(self, state_dict: StateDict) -> ImageModelDescriptor[AetherNet]:
        """The network of weights of any version and stage. Training weights are fused on the way in: the same function in
        fewer operations, without statistics that half precision would spoil, and what converters to other formats want.

        Raises:
            CheckpointError: a later version, or tensors that are missing or of another shape.
        """
        state_dict = dict(up_to_date(_bare(state_dict)))
        config = AetherConfig.from_tensor(state_dict[CONFIG_KEY])
        require_whole(state_dict, config, "the state dict")
        network = AetherNet.from_state_dict(state_dict, "fused" if config.stage == "train" else None).eval()
        network.requires_grad_(False)
        is_float = not config.quantized
        return AetherNetDescriptor(
            network,
            network.state_dict(),
            architecture=self,
            purpose="SR" if config.scale > 1 else "Restoration",  # as spandrel's own architectures have it
            tags=[config.variant, network.config.stage],
            # Grids of 8 bits with steps of their own do not survive a rounding of the steps to 8 or 11 bits.
            supports_half=is_float,
            supports_bfloat16=is_float,
            scale=config.scale,
            input_channels=config.in_channels,
            output_channels=config.in_channels,
            tiling=ModelTiling.DISCOURAGED if network.receptive_radius is None else ModelTiling.SUPPORTED,
        )


def is_aethernet(state_dict: StateDict) -> bool:
    """Whether a state dict has our config entry, whatever its version is."""
    entry = _bare(state_dict).get(CONFIG_KEY)
    if not isinstance(entry, torch.Tensor) or entry.ndim != 1:
        return False
    try:
        unpack_fields(entry)
    except CheckpointError:
        return False
    return True


def _bare(state_dict: StateDict) -> StateDict:
    return bare_names(state_dict)


def install(registry: ArchRegistry = MAIN_REGISTRY) -> None:
    """Adds AetherNet to a registry of spandrel, to be asked before all that are in it; repeating it is harmless.

    Raises:
        RegistrationError: another architecture has the name.
    """
    support = ArchSupport.from_architecture(AetherNetArch(), before=tuple(other.architecture.id for other in registry))
    present = registry.get(support.architecture.id)
    if present is None:
        registry.add(support)
        return
    kind = type(present.architecture)
    if (kind.__module__, kind.__qualname__) != (AetherNetArch.__module__, AetherNetArch.__qualname__):
        raise RegistrationError(
            f"the name {present.architecture.id!r} is taken in spandrel's registry by {kind.__module__}."
            f"{kind.__qualname__}: install into a registry of its own, and give that to ModelLoader(registry=...)"
        )
