"""The network and its life cycle: built, trained, fused, put on int8 grids, deployed; weights of every stage loaded."""

import copy
import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from aethernet.errors import CheckpointError, StageError
from aethernet.network.config import CONFIG_KEY, STAGES, AetherConfig, Stage
from aethernet.network.graph import AetherGraph
from aethernet.network.migrations import up_to_date
from aethernet.network.placement import place_integers, place_quantizers
from aethernet.network.reference import refuse_reference
from aethernet.network.reparam import chained, fuse
from aethernet.quantization.fake import WATCHED_BATCHES, quantizers
from aethernet.quantization.settings import Preset, QuantizationConfig

logger = logging.getLogger(__name__)


class AetherNet(AetherGraph):
    """The super-resolution network: (N, C, H, W) in [0, 1], RGB or grey, any H, W >= 1 -> (N, C, scale H, scale W).

    The output is not clamped. What lies outside of [0, 1] passes through, and one NaN makes everything that sees it NaN: values
    cost time to look at, so that only the first input is looked at, and a warning logged. `aethernet.upscale.Upscaler`
    and `aethernet.calibrate` refuse such pictures. `config.stage` decides the structure; `fuse_model` moves an existing network from
    `train` to `fused`. Weights of an earlier stage load into a later one and are fused on the way in.

    Args:
        config: sizes, scale, stage; the `aether_...` functions have those of the variants.

    Raises:
        ValueError: in the forward pass, for an input that is not (N, C, H, W) with the network's channels.

    Example:
        >>> import torch
        >>> from aether_arch import AetherConfig, AetherNet
        >>> network = AetherNet(AetherConfig(width=16, depths=(1, 1), scale=2))
        >>> network(torch.rand(1, 3, 24, 32)).shape
        torch.Size([1, 3, 48, 64])
    """

    def __init__(self, config: AetherConfig) -> None:
        super().__init__(config)
        self._advance(config.stage)

    @classmethod
    def from_state_dict(cls, state_dict: Mapping[str, Tensor], stage: Stage | None = None) -> "AetherNet":
        """Rebuilds a network from its tensors alone, in its own stage or in a later one.

        Raises:
            CheckpointError: no weights of an AetherNet, or tensors that it cannot have.
            StageError: an earlier stage, or int8 without ranges.

        Example:
            >>> from aether_arch import AetherNet, aether_tiny
            >>> AetherNet.from_state_dict(aether_tiny(scale=2).state_dict(), stage="fused").config.title
            'aether_tiny x2 (stage fused)'
        """
        state_dict = up_to_date(state_dict)
        refuse_reference(state_dict)
        if CONFIG_KEY not in state_dict:
            raise CheckpointError(f"these are no AetherNet weights: the entry {CONFIG_KEY!r} is missing")
        config = AetherConfig.from_tensor(state_dict[CONFIG_KEY])
        network = cls(dataclasses.replace(config, stage=stage or config.stage))
        network.load_state_dict(state_dict)
        return network

    def fuse_model(self) -> "AetherNet":
        """Turns the network into the plain graph, in place and exactly; repeating it is harmless.

        Optimisers that were built before hold the old parameters: build them after. A `layernorm` cannot fold and
        stays in the graph; a warning says so.

        Returns:
            The network itself.

        Example:
            >>> import torch
            >>> from aether_arch import aether_custom
            >>> network, picture = aether_custom(scale=2, width=16, depths=[1]).eval(), torch.rand(1, 3, 16, 16)
            >>> before = network(picture)
            >>> torch.allclose(network.fuse_model()(picture), before, atol=1e-5)
            True
        """
        if self.config.stage == "train" and self.config.norm_type == "layernorm":
            logger.warning("layernorm cannot fold: it stays in the fused graph; norm_type deployment folds")
        self._fuse()
        return self

    def prepare_qat(self, quantization: Preset | Mapping[str, Any] | QuantizationConfig | None = None) -> "AetherNet":
        """Puts the network on int8 grids for quantisation-aware training, in place; unfused networks are fused first.

        Build the optimiser afterwards: fusing makes new parameters, and the ranges of activations are new ones, too.
        (The weights of a network that was fused before stay the same objects.) Ranges come from `aethernet.calibrate`,
        from a calibrated checkpoint, or from the first 16 batches in training mode, which pass unrounded; then they are
        trained along, or stay with `ranges: fixed`.

        Args:
            quantization: a preset or settings; by default those of the configuration (`ort`).

        Returns:
            The network itself.

        Raises:
            StageError: the network is an int8 network already, or one of stage qat with other settings.
            ConfigError: an unknown preset, or settings that are not allowed.

        Example:
            >>> from aether_arch import aether_tiny
            >>> aether_tiny(scale=2).prepare_qat({"last": "float"}).config.quantization.last
            'float'
        """
        wanted = self.config.quantization if quantization is None else QuantizationConfig.read(quantization)
        if self.config.quantized:
            if self.config.stage == "int8":
                raise StageError(
                    "an int8 network cannot be trained: call prepare_qat() on the float network it came from"
                )
            if wanted != self.config.quantization:
                grids = wanted.differences(self.config.quantization)
                told = [f"{name}: {here!r} here, {asked!r} asked for" for name, (here, asked) in grids.items()]
                raise StageError(
                    f"the network is of stage qat with other settings ({'; '.join(told)}): call prepare_qat() with "
                    "those on the float network it came from"
                )
            return self
        self.fuse_model()
        place_quantizers(self, wanted)
        for _, quantizer in quantizers(self):
            quantizer.watch_batches = WATCHED_BATCHES
        self.config = dataclasses.replace(self.config, stage="qat", quantization=wanted)
        return self

    def convert_to_quantized(self) -> "AetherNet":
        """The deployed form of a network of stage qat, as a new network in eval mode: int8 weights, integer sums.

        Raises:
            StageError: the network is of another stage, or its ranges are unknown.

        Example:
            >>> import torch
            >>> from aether_arch import aether_tiny, calibrate
            >>> network = calibrate(aether_tiny(scale=2), [torch.rand(1, 3, 32, 32)])
            >>> network.convert_to_quantized().config.title
            'aether_tiny x2 (stage int8)'
        """
        if self.config.stage != "qat":
            raise StageError(
                f"the network is of stage {self.config.stage}: the order is prepare_qat(), then training or "
                "aethernet.calibrate(network, pictures), then convert_to_quantized()"
            )
        for _, quantizer in quantizers(self):
            quantizer.require_range()
        network = copy.deepcopy(self).eval()
        network._to_integers()
        return network

    def _fuse(self) -> None:
        if self.config.stage != "train":
            return
        fuse(self)
        if len(self.transitions) == 1:  # nothing stands between it and the fusion, so the two are one matrix
            first, *norm = self.fusion if isinstance(self.fusion, nn.Sequential) else [self.fusion]
            conv = chained(self.transitions[0], first)
            self.fusion = nn.Sequential(conv, *norm) if norm else conv
            self.transitions[0] = nn.Identity()
        self.config = dataclasses.replace(self.config, stage="fused")

    def _to_integers(self) -> None:
        place_integers(self)
        self.config = dataclasses.replace(self.config, stage="int8")
        self.requires_grad_(False)

    def _advance(self, stage: Stage) -> None:
        """Moves the structure on to `stage`, without asking for ranges: they may be loaded later."""
        if stage != "train":
            self._fuse()
        if STAGES.index(stage) >= STAGES.index("qat"):
            self.prepare_qat()
            for _, quantizer in quantizers(self):
                quantizer.watch_batches = 0
        if stage == "int8":
            self._to_integers()

    def _save_to_state_dict(self, destination, prefix, keep_vars) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        # Neither a buffer (DistributedDataParallel would broadcast it whenever rank 0 validates alone) nor a
        # parameter (weight averages and optimisers would touch it): it only travels with the weights.
        destination[prefix + CONFIG_KEY] = self.config.to_tensor()

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, strict, missing_keys, *rest) -> None:
        refuse_reference({name.removeprefix(prefix): value for name, value in state_dict.items()}, "what is loaded")
        if prefix + CONFIG_KEY in state_dict:
            self._update(state_dict, prefix)
            config_tensor = state_dict.pop(prefix + CONFIG_KEY)
            self._admit(AetherConfig.from_tensor(config_tensor), state_dict, prefix)
        elif strict:
            missing_keys.append(prefix + CONFIG_KEY)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, missing_keys, *rest)

    @staticmethod
    def _update(state_dict: dict[str, Tensor], prefix: str) -> None:
        """Brings weights of an earlier release up to date inside `state_dict`."""
        own = {key[len(prefix) :]: value for key, value in state_dict.items() if key.startswith(prefix)}
        updated = up_to_date(own)
        if updated is not own:
            for key in own:
                del state_dict[prefix + key]
            state_dict.update({prefix + key: value for key, value in updated.items()})

    def map_state_dict(self, state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights of this stage or an earlier one as those of this stage, in place; others raise as in loading.

        traiNNer-redux calls it by this name before it compares a file's tensors with the network's.
        """
        refuse_reference(state_dict)
        if CONFIG_KEY in state_dict:
            self._update(state_dict, "")
            self._admit(AetherConfig.from_tensor(state_dict.pop(CONFIG_KEY)), state_dict, "")
            state_dict[CONFIG_KEY] = self.config.to_tensor()
        return state_dict

    def _admit(self, incoming: AetherConfig, state_dict: dict[str, Tensor], prefix: str) -> None:
        """Checks that weights of `incoming` belong here and fuses those of an earlier stage inside `state_dict`."""
        differences = self.config.differences(incoming)
        if differences:
            raise CheckpointError(
                f"the weights are of {incoming.title}, the network is {self.config.title}: "
                + "; ".join(differences)
                + ". Build the network that the weights were trained for, or load other weights"
            )
        if STAGES.index(incoming.stage) > STAGES.index(self.config.stage):
            raise StageError(
                f"weights of stage {incoming.stage!r} cannot go back into a network of stage "
                f"{self.config.stage!r}: set stage: {incoming.stage}, or load the weights from before that stage"
            )
        if self.config.stage == "int8" and not incoming.quantized:
            raise StageError(
                f"weights of stage {incoming.stage!r} have no ranges of activations, which stage int8 needs: write a "
                "calibrated checkpoint first (`aethernet calibrate WEIGHTS --data DIR -o OUT`)"
            )
        if incoming.stage != self.config.stage:
            own = {key: state_dict.pop(key) for key in list(state_dict) if key.startswith(prefix)}
            target = dataclasses.replace(self.config if not incoming.quantized else incoming, stage=self.config.stage)
            moved = advance_state_dict({key[len(prefix) :]: value for key, value in own.items()}, incoming, target)
            state_dict.update({prefix + key: value for key, value in moved.items()})


def advance_state_dict(state_dict: dict[str, Tensor], config: AetherConfig, target: AetherConfig) -> dict[str, Tensor]:
    """The weights of `config.stage` as those of the later `target.stage`: a pure function, without the config entry.

    Ranges that `state_dict` does not hold are 0, unknown.
    """
    with torch.device("meta"):
        network = AetherNet(config)
    network.load_state_dict({**state_dict, CONFIG_KEY: network.config.to_tensor()}, strict=True, assign=True)
    network.config = dataclasses.replace(network.config, quantization=target.quantization)
    network._advance(target.stage)
    moved = network.state_dict()
    del moved[CONFIG_KEY]
    return moved
