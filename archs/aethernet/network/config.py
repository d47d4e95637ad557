"""Everything that determines an AetherNet, as one validated value that travels with the weights."""

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from aethernet.checks import did_you_mean, is_number, is_whole, one_of, whole_number
from aethernet.errors import CheckpointError, ConfigError
from aethernet.network.blocks import AdaptiveUpsample, Tail
from aethernet.network.operations import Skip
from aethernet.quantization.settings import QuantizationConfig
from aethernet.wording import how_many

ARCH_VERSION = 1
"""Version of the structure and of the names in a state dict."""

Stage = Literal["train", "fused", "qat", "int8"]
"""The stages of a model's life, in their order. Weights load into their own stage and into later ones."""
Block = Literal["gated", "plain"]
NormType = Literal["deployment", "layernorm", "none"]
STAGES: tuple[Stage, ...] = get_args(Stage)

COLOR_ORDERS = {1: "grey", 3: "RGB"}
"""What the channels of a picture are, by their number."""

CHOICES: dict[str, tuple] = {
    "scale": tuple(AdaptiveUpsample.STEPS),
    "in_channels": tuple(COLOR_ORDERS),
    "block": get_args(Block),
    "tail": get_args(Tail),
    "norm_type": get_args(NormType),
    "skip": get_args(Skip),
    "stage": STAGES,
}
"""The values of the fields that have few."""
NAME_PATTERN = re.compile(r"aether_([a-z]+)_x(\d+)")
CONFIG_KEY = "config"
"""Name of the state dict entry that holds the configuration: JSON text as bytes (uint8)."""
VERSION_FIELD = "arch_version"
"""Name of `ARCH_VERSION` beside the arguments in that text."""

BITS_BEFORE_THE_FIELD = 8
"""Of weights on int8 grids whose configuration does not say."""

TRAINING_ONLY = ("drop_path", "norm_freeze_iter")
"""Fields that may differ between a checkpoint and the network that loads it: they shape training, not tensors."""


@dataclass(frozen=True, kw_only=True)
class AetherConfig:
    """Everything that determines an AetherNet. Lists become tuples; wrong values raise `ConfigError`.

    Args:
        width: channels of the body.
        depths: blocks in each stage.
        scale: upscaling factor.
        in_channels: 1 (grey) or 3 (RGB), in and out.
        block: `gated` (large depthwise kernel and gated feed-forward part) or `plain` (one dense convolution and a
            LeakyReLU, for networks of a few blocks).
        kernel_size: odd size of the blocks' convolution, one for all stages or one per stage; by default 11, depthwise, of
            gated blocks, and 3, dense, of plain ones.
        expansion: hidden channels of the feed-forward part over `width`.
        channel_attention, spatial_attention: what follows the feed-forward part in every block.
        norm_type: `deployment` (folds), `layernorm` (for GAN training, stays in the graph) or `none`.
        norm_freeze_iter: training iterations after which `deployment` fixes its statistics; None: never.
        tail: `stepwise` (scales 4 and 8 in steps of two, with a LeakyReLU between) or `direct` (one convolution).
        tail_channels: channels between the steps of the upsampler.
        skip: how the input picture is upsampled and added to the output.
        drop_path: rate of stochastic depth in the last block, rising linearly from 0.
        stage: `train` (rich branches), `fused` (plain graph), `qat` (the plain graph on int8 grids, trainable) or `int8`
            (deployed).
        quantization: what is int8 from stage `qat` on: a preset (`ort`, `openvino`, `tensorrt`, `quality`), a mapping, or
            a `QuantizationConfig`.
        variant: name of the variant, for messages; `custom` for own sizes.

    Example:
        >>> from aether_arch import AetherConfig
        >>> AetherConfig(width=16, depths=(2, 2), scale=2).title
        'aether_custom x2 (stage train)'
        >>> AetherConfig(width=16, depths=(2, 2), scale=5)
        Traceback (most recent call last):
        aethernet.errors.ConfigError: scale must be one of 1, 2, 3, 4, 8, not 5
    """

    width: int
    depths: tuple[int, ...]
    scale: int = 4
    in_channels: int = 3
    block: Block = "gated"
    kernel_size: int | tuple[int, ...] | None = None
    expansion: float = 2.0
    channel_attention: bool = False
    spatial_attention: bool = False
    norm_type: NormType = "deployment"
    norm_freeze_iter: int | None = 150_000
    tail: Tail = "stepwise"
    tail_channels: int = 24
    skip: Skip = "nearest"
    drop_path: float = 0.0
    stage: Stage = "train"
    quantization: QuantizationConfig = field(default_factory=QuantizationConfig)
    variant: str = "custom"

    def __post_init__(self) -> None:
        for name in ("depths", "kernel_size"):
            if isinstance(getattr(self, name), list):
                object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "quantization", QuantizationConfig.read(self.quantization))
        if self.kernel_size is None:
            object.__setattr__(self, "kernel_size", 3 if self.block == "plain" else 11)
        whole_number("width", self.width, 1, ConfigError)
        whole_number("tail_channels", self.tail_channels, 1, ConfigError)
        if not isinstance(self.depths, tuple) or not self.depths:
            raise ConfigError(f"depths must be a list of block counts such as [4, 4, 4, 4], not {self.depths!r}")
        for depth in self.depths:
            whole_number("every entry of depths", depth, 1, ConfigError)
        for name, allowed in CHOICES.items():
            one_of(name, getattr(self, name), allowed, ConfigError)
        for size in self.kernel_sizes:
            if not is_whole(size) or size < 3 or size % 2 == 0:
                raise ConfigError(f"kernel_size must be odd and at least 3 (3, 5, 7, 9, 11, ...), not {size!r}")
        if len(self.kernel_sizes) != len(self.depths):
            raise ConfigError(
                f"kernel_size {list(self.kernel_sizes)} names {how_many(len(self.kernel_sizes), 'stage')}, but depths "
                f"{list(self.depths)} has {len(self.depths)}: give one size, or one for each stage"
            )
        if not _is_finite(self.expansion) or round(self.width * self.expansion) < 1:
            raise ConfigError(f"expansion must be a positive number such as 2.0, not {self.expansion!r}")
        for name in ("channel_attention", "spatial_attention", "drop_path"):
            if self.block == "plain" and getattr(self, name):
                raise ConfigError(
                    f"block plain has no residual branch and no {name}: leave it out, or set block: gated"
                )
        if not _is_finite(self.drop_path) or not 0.0 <= self.drop_path < 1.0:
            raise ConfigError(f"drop_path must be in [0, 1), not {self.drop_path!r}")
        if self.norm_freeze_iter is not None:
            whole_number("norm_freeze_iter", self.norm_freeze_iter, 0, ConfigError)

    @property
    def kernel_sizes(self) -> tuple[int, ...]:
        """The large kernel's size in each stage."""
        size = self.kernel_size
        assert size is not None
        return size if isinstance(size, tuple) else (size,) * len(self.depths)

    @property
    def quantized(self) -> bool:
        """Whether the stage has int8 grids."""
        return STAGES.index(self.stage) >= STAGES.index("qat")

    @property
    def name(self) -> str:
        """What its files are called, such as `aether_small_x4`."""
        return network_name(self.variant, self.scale)

    @property
    def title(self) -> str:
        """A short name for messages, such as `aether_small x4 (stage train)`."""
        return f"aether_{self.variant} x{self.scale} (stage {self.stage})"

    def to_tensor(self) -> Tensor:
        """The configuration as JSON text in a tensor, which any loader of tensors carries along.

        `quantization` belongs to the stages that have grids: float weights take it from whoever quantises them.
        """
        fields = dataclasses.asdict(self)
        if not self.quantized:
            del fields["quantization"]
        return pack_fields({VERSION_FIELD: ARCH_VERSION, **fields})

    @classmethod
    def from_tensor(cls, tensor: Tensor) -> "AetherConfig":
        """Reads what `to_tensor` wrote; raises `CheckpointError` for anything else.

        Weights of an earlier version go through `migrations.up_to_date` first.
        """
        fields = unpack_fields(tensor)
        version = fields.pop(VERSION_FIELD)
        if version != ARCH_VERSION:
            raise CheckpointError(
                f"the weights have arch_version {version}, this release reads {ARCH_VERSION}: "
                "use the release of aethernet that wrote them, or a newer one"
            )
        if isinstance(grids := fields.get("quantization"), dict):
            grids.setdefault("weight_bits", BITS_BEFORE_THE_FIELD)
        try:
            config = cls.from_fields(fields)
            return config if config.quantized else dataclasses.replace(config, quantization=QuantizationConfig())
        except ConfigError as error:
            raise CheckpointError(
                f"the entry {CONFIG_KEY!r} describes no AetherNet of this release: {error}"
            ) from error

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "AetherConfig":
        """Like the constructor, with an error that names near matches for an unknown argument."""
        known = [entry.name for entry in dataclasses.fields(cls)]
        for name in fields:
            if name not in known:
                raise ConfigError(f"AetherNet has no argument {name!r}; {did_you_mean(name, known)}")
        missing = [name for name in ("width", "depths") if name not in fields]
        if missing:
            raise ConfigError(f"AetherNet needs {' and '.join(missing)}, such as width: 32 and depths: [2, 2, 2]")
        return cls(**fields)

    def differences(self, other: "AetherConfig") -> list[str]:
        """What keeps weights of `other` from loading here, as texts `field: other's value, here own value`."""
        ignored = [*TRAINING_ONLY, "stage", "variant", "kernel_size"]
        if not (self.quantized and other.quantized):
            ignored.append("quantization")
        names = [entry.name for entry in dataclasses.fields(self) if entry.name not in ignored]
        pairs = {name: (getattr(other, name), getattr(self, name)) for name in [*names, "kernel_sizes"]}
        if "quantization" in pairs:
            grids = self.quantization.differences(pairs.pop("quantization")[0])
            pairs |= {f"quantization: {name}": values for name, values in grids.items()}
        return [
            f"{name}: {theirs!r} in the weights, {ours!r} here"
            for name, (theirs, ours) in pairs.items()
            if theirs != ours
        ]


def network_name(variant: str, scale: int) -> str:
    """What the files of a network are called, such as `aether_small_x4`; `NAME_PATTERN` reads it."""
    return f"aether_{variant}_x{scale}"


def pack_fields(fields: Mapping[str, Any]) -> Tensor:
    """A mapping as JSON text in an (N,) uint8 tensor; its numbers survive a tool that makes all tensors half or bfloat16."""
    return torch.tensor(list(json.dumps(fields).encode()), dtype=torch.uint8, device="cpu")


def unpack_fields(tensor: Tensor) -> dict[str, Any]:
    """What `pack_fields` was given, with its version; the tensor may be of any type.

    Raises:
        CheckpointError: it holds something else.
    """
    try:
        fields = json.loads(bytes(tensor.to(torch.uint8).tolist()))
        if not is_whole(fields[VERSION_FIELD]):
            raise ValueError(f"{VERSION_FIELD} is no whole number")
    except (ValueError, AttributeError, LookupError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"the entry {CONFIG_KEY!r} does not hold an AetherNet configuration: these are damaged or another network's weights"
        ) from error
    return fields


def _is_finite(value: object) -> bool:
    return is_number(value) and math.isfinite(value)
