"""What is computed in int8 and what stays float, as one validated value; presets for the runtimes."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from aethernet.checks import did_you_mean, is_one_of
from aethernet.errors import ConfigError

Precision = Literal["int8", "float"]
Ranges = Literal["learnt", "fixed"]
WeightBits = Literal[7, 8]
Preset = Literal["ort", "openvino", "tensorrt", "quality"]
PERCENTILE = LEAST_PERCENTILE = 99.99
"""Of an activation's magnitudes, by default and at least. It cuts off the largest one in ten thousand, which spends the
levels on what is common: 0.13 dB on Set5 for tiny x4 without any training. 99.9 costs 0.18 dB."""
CALIBRATION_PICTURES = 200
"""At most, by default; 100 varied ones are plenty."""


@dataclass(frozen=True, kw_only=True)
class QuantizationConfig:
    """Where the int8 grid lies. Wrong values raise `ConfigError`.

    Args:
        first: the convolution that reads the picture. It has few inputs, so float costs little.
        last: the convolution that makes the picture's pixels, with the activation in front of it. Its input is what
            rounding harms most (docs/int8.md): float halves the loss of tiny x2. Its cost grows with scale squared.
        depthwise: the large depthwise kernels. In float, their output is rounded all the same, and ONNX Runtime then
            rounds the weights by itself and runs them in integers; other runtimes keep them float.
        gate: the sigmoid of the gated parts. int8 makes it a table of 256 entries in runtimes that know one.
        residual: the sums of the residual stream. In float, no rounding adds up from block to block.
        ranges: `learnt` ranges of activations are trained along (LSQ), `fixed` ones stay as calibrated.
        weight_bits: 7 (levels -63 to 63) or 8 (-127 to 127). x86 CPUs without VNNI add two products of an activation
            (0 to 255) and a weight in int16, which ends at 32767: 2 x 255 x 63 fits, 2 x 255 x 127 does not, and dense
            convolutions then go wrong in ONNX Runtime and OpenVINO. 8 is for TensorRT, ARM, and machines that all have
            VNNI.
    """

    first: Precision = "int8"
    last: Precision = "int8"
    depthwise: Precision = "int8"
    gate: Precision = "int8"
    residual: Precision = "int8"
    ranges: Ranges = "learnt"
    weight_bits: WeightBits = 7

    def __post_init__(self) -> None:
        choices: dict[str, tuple] = {"ranges": get_args(Ranges), "weight_bits": get_args(WeightBits)}
        for field in dataclasses.fields(self):
            value, allowed = getattr(self, field.name), choices.get(field.name, get_args(Precision))
            if not is_one_of(value, allowed):
                raise ConfigError(
                    f"quantization: {field.name} must be {' or '.join(map(str, allowed))}, not {value!r}; "
                    f"presets: {', '.join(PRESETS)}"
                )

    @property
    def weight_levels(self) -> int:
        """The level of a channel's largest weight."""
        return 2 ** (self.weight_bits - 1) - 1

    def differences(self, other: "QuantizationConfig") -> dict[str, tuple[object, object]]:
        """The fields that differ, each with the other's value and the own one."""
        names = [field.name for field in dataclasses.fields(self)]
        pairs = {name: (getattr(other, name), getattr(self, name)) for name in names}
        return {name: (theirs, ours) for name, (theirs, ours) in pairs.items() if theirs != ours}

    @classmethod
    def read(cls, value: "str | Mapping[str, Any] | QuantizationConfig") -> "QuantizationConfig":
        """From the name of a preset, or from a mapping: `preset` (default: ort) and the fields that differ from it."""
        if isinstance(value, cls):
            return value
        fields = {"preset": value} if isinstance(value, str) else dict(value) if isinstance(value, Mapping) else None
        if fields is None:
            raise ConfigError(f"quantization must be one of {', '.join(PRESETS)}, or a mapping, not {value!r}")
        name = fields.pop("preset", "ort")
        if name not in PRESETS:
            raise ConfigError(f"there is no quantization preset {name!r}; {did_you_mean(name, PRESETS)}")
        known = ["preset", *(field.name for field in dataclasses.fields(cls))]
        for key in fields:
            if key not in known:
                raise ConfigError(f"quantization has no entry {key!r}; {did_you_mean(key, known)}")
        return dataclasses.replace(PRESETS[name], **fields)


PARTS = ("first", "last", "depthwise", "gate", "residual")
"""What can be int8 or float."""
PRESETS: dict[Preset, QuantizationConfig] = {}
PRESETS |= {
    "ort": QuantizationConfig(),
    "openvino": QuantizationConfig(gate="float"),
    "tensorrt": QuantizationConfig(gate="float"),
    "quality": QuantizationConfig(first="float", last="float", residual="float"),
}
"""Settings by purpose; the reasons stand in docs/int8.md."""
