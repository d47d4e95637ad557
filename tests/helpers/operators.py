"""The ONNX operators that files may hold: basic ones, which every runtime has as fast kernels and none as a fallback.

Nothing here looks at a shape or branches on one: no Shape, Gather, If, Loop, Reshape. PixelShuffle is DepthToSpace, not
a six-dimensional Reshape and Transpose, and Resize has constant factors.
"""

from aethernet.export.form import Form
from aethernet.network.config import AetherConfig

PLAIN = frozenset({"Add", "Concat", "Conv", "DepthToSpace", "LeakyRelu", "Mul", "Sigmoid", "Sub"})
"""The fused network."""
SKIP = frozenset({"Resize"})
"""The picture that is enlarged and added."""
ATTENTION = frozenset({"ReduceMax", "ReduceMean"})
LAYERNORM = frozenset({"LayerNormalization", "Transpose"})
"""The only norm that stays in the graph; it works on the last axis."""
HALF = frozenset({"Cast"})
"""float16 inside, float32 at the border."""
INT8 = frozenset({"DequantizeLinear", "QuantizeLinear"})
BYTES = frozenset({"Cast", "Clip", "Div", "Mul", "Round"})
CHANNELS_LAST = frozenset({"Transpose"})


def allowed_operators(config: AetherConfig, precision: str, form: Form | None = None) -> frozenset[str]:
    """What a file of this network may hold; a test exports them all and looks."""
    form = form or Form()
    parts = {
        PLAIN: True,
        SKIP: config.skip != "none",
        ATTENTION: config.channel_attention or config.spatial_attention,
        LAYERNORM: config.norm_type == "layernorm",
        HALF: precision == "fp16",
        INT8: precision == "int8",
        BYTES: form.pixels != "float",
        CHANNELS_LAST: form.channels_last,
    }
    return frozenset().union(*(operators for operators, wanted in parts.items() if wanted))
