"""What goes into an ONNX file and comes out of it: free or fixed sizes, floats in [0, 1] or bytes.

Networks compute on (N, C, H, W) floats. Video pipelines hold bytes, often with the channels last; a file that takes and
gives bytes spares them the conversion, and a quarter of the memory traffic on the way to the runtime and back.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from aethernet.checks import is_whole, one_of, whole_number
from aethernet.errors import UsageError

Pixels = Literal["float", "uint8_nchw", "uint8_nhwc"]
"""(N, C, H, W) float32 in [0, 1]; bytes in the same order; bytes with the channels last, (N, H, W, C)."""
LARGEST_BYTE = 255.0
WHOLE_PICTURE = "whole picture"
"""What files and tables have in the place of a receptive radius where a network looks at everything."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """The input and output of a file; wrong values raise `UsageError`.

    Args:
        static: height and width of the input, in low-resolution pixels; None leaves both free.
        batch: pictures at a time; None leaves the number free.
        pixels: `float`, `uint8_nchw` or `uint8_nhwc`; bytes go in and come out, rounded half to even and clipped.
    """

    static: tuple[int, int] | None = None
    batch: int | None = None
    pixels: Pixels = "float"

    def __post_init__(self) -> None:
        one_of("pixels", self.pixels, get_args(Pixels), UsageError)
        if self.static is not None and (len(self.static) != 2 or not all(is_whole(side, 1) for side in self.static)):
            raise UsageError(f"static must be height and width in pixels, such as (270, 480), not {self.static!r}")
        if self.batch is not None:
            whole_number("batch", self.batch, 1, UsageError)

    @property
    def channels_last(self) -> bool:
        return self.pixels == "uint8_nhwc"

    @property
    def suffix(self) -> str:
        """What a file name says of it: nothing for free sizes and floats, such as `_270x480_batch1_uint8_nhwc` else."""
        parts = [
            "" if self.static is None else "_{}x{}".format(*self.static),
            "" if self.batch is None else f"_batch{self.batch}",
            "" if self.pixels == "float" else f"_{self.pixels}",
        ]
        return "".join(parts)

    def example(self, channels: int) -> Tensor:
        """An input of this form, to trace with. Free sizes are neither 1 nor equal, which a trace would take as fixed."""
        height, width = self.static or (16, 24)
        x = torch.zeros(self.batch or 2, channels, height, width)
        if self.pixels == "float":
            return x
        return (x.permute(0, 2, 3, 1).contiguous() if self.channels_last else x).to(torch.uint8)

    def axes(self) -> dict[str, int]:
        """Where the sizes stand in the input's shape."""
        return dict(zip(("batch", "height", "width"), (0, 1, 2) if self.channels_last else (0, 2, 3), strict=True))

    def dynamic_shapes(self) -> tuple[dict[int, Any]] | None:
        """The free sizes, as `torch.export` wants them; None if there are none."""
        fixed = {"batch": self.batch, "height": self.static, "width": self.static}
        free = {axis: torch.export.Dim.DYNAMIC for name, axis in self.axes().items() if fixed[name] is None}
        return (free,) if free else None

    def metadata(self) -> dict[str, str]:
        """The same as texts for the file."""
        height, width = self.static or ("any", "any")
        return {
            "layout": "NHWC" if self.channels_last else "NCHW",
            "element_type": "float32" if self.pixels == "float" else "uint8",
            "value_range": "0..1" if self.pixels == "float" else "0..255",
            "batch": str(self.batch or "any"),
            "height": str(height),
            "width": str(width),
        }


class BytesAround(nn.Module):
    """Bytes in, bytes out, around a network of floats in [0, 1]; rounded half to even and clipped, not wrapped.

    The conversions stand next to the input and the output, which is all that TensorRT allows on bytes. In int8 files, a
    DequantizeLinear and a QuantizeLinear of 1/255 could do the same in fewer nodes; in ONNX Runtime they were no faster,
    and rounded a few more pixels the other way.
    """

    def __init__(self, network: nn.Module, *, channels_last: bool) -> None:
        super().__init__()
        self.network = network
        self.channels_last = channels_last

    def forward(self, x: Tensor) -> Tensor:
        x = x.float() / LARGEST_BYTE
        out = self.network(x.permute(0, 3, 1, 2) if self.channels_last else x)
        out = torch.round(out * LARGEST_BYTE).clamp(0.0, LARGEST_BYTE)
        return (out.permute(0, 2, 3, 1) if self.channels_last else out).to(torch.uint8)
