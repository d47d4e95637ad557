"""Where AetherNet is quantised: which module of the fused network becomes which module of stage `qat`.

Three rules, all for the runtimes' sake: a convolution's output is rounded right behind it, or it runs in float; both
inputs of a sum are on grids; PixelShuffle and the activations before it share a grid. And one for quality: what only the
last convolution reads is not rounded where that one is float.
"""

from typing import cast

from torch import nn

from aethernet.network.blocks import AetherBlock, ChannelAttention, SpatialAttention
from aethernet.network.graph import AetherGraph
from aethernet.network.norms import LayerNorm2d
from aethernet.network.operations import Add, Centre, Concat, ImageSkip, Multiply
from aethernet.quantization.fake import FakeQuantizer, QuantConv2d, QuantizedOperation, RoundedConv2d
from aethernet.quantization.integer import convert
from aethernet.quantization.settings import QuantizationConfig

FLOAT_OPERATIONS = (
    nn.Conv2d, nn.LeakyReLU, nn.Sigmoid, Add, Centre, ChannelAttention, Concat, ImageSkip, LayerNorm2d, Multiply,
    SpatialAttention,
)  # fmt: skip
"""What may stay float in a quantised network. Attention always does: it works on a few numbers, or on two channels."""


def place_quantizers(network: AetherGraph, config: QuantizationConfig) -> None:
    """Turns a fused network into one of stage `qat`, in place; weights keep their identity."""
    _Placement(config).network(network)


def place_integers(network: AetherGraph) -> None:
    """Turns a network of stage `qat`, whose ranges are known, into one of stage `int8`, in place."""
    convert(network, FLOAT_OPERATIONS)


class _Placement:
    """Walks a fused network in the order of its forward pass. A method takes the quantiser of the tensor that comes in,
    None for a float tensor, and returns that of the tensor that goes out."""

    def __init__(self, config: QuantizationConfig) -> None:
        self.config = config
        self.learnt = config.ranges == "learnt"
        self.float_stream = config.residual == "float"

    def network(self, network: AetherGraph) -> None:
        entry = self.entry(network)
        stream = entry
        for index, stage in enumerate(network.stages):
            for block in cast(nn.Sequential, stage):
                if isinstance(block, AetherBlock):
                    stream = self.block(block, stream)
                else:
                    stream = self.plain_block(block, stream)
            joined = self.conv(network.transitions, str(index), stream)
        joined = self.operation(network, "concat", joined)
        merged = self.conv(network, "fusion", joined)
        merged = None if self.float_stream else self.operation(network, "merge")
        self.tail(network, self.conv(network, "reconstruction", merged))

    def entry(self, network: AetherGraph) -> FakeQuantizer | None:
        """The first convolution and what follows it in front of the blocks."""
        if self.config.first == "int8":
            source = self.operation(network, "centre")
            features = self.conv(network, "shallow", source)
        elif self.float_stream:
            return None
        else:
            features = self.rounded(network, "shallow")
        return self.operation(network, "shallow_activation", features)

    def block(self, block: AetherBlock, stream: FakeQuantizer | None) -> FakeQuantizer | None:
        int8 = self.config.depthwise == "int8"
        mixed = self.conv(block, "mixer", stream) if int8 else self.rounded(block, "mixer")
        ffn = block.ffn
        self.conv(ffn, "gate", mixed)
        self.conv(ffn, "main", mixed)
        if self.config.gate == "int8":
            self.operation(ffn, "sigmoid")
        self.conv(ffn, "out", self.operation(ffn, "product"))
        if self.float_stream:
            return None
        if len(block.attention):
            block.attention.add_module("quantizer", FakeQuantizer(learnt=self.learnt))
        return self.operation(block, "residual")

    def plain_block(self, block: nn.Module, stream: FakeQuantizer | None) -> FakeQuantizer | None:
        return self.operation(block, "1", self.conv(block, "0", stream))

    def tail(self, network: AetherGraph, source: FakeQuantizer | None) -> None:
        """The activation behind the reconstruction, and the upsampler."""
        upsample = network.upsample
        places: list[tuple[nn.Module, str, nn.Module]] = [(network, "activation", network.activation)]
        places += ((upsample, name, layer) for name, layer in upsample.named_children())
        if self.config.last == "float":
            last = [layer for *_, layer in places].index(upsample.last_conv)
            places = places[: last - 1]  # nor is the activation in front of it rounded
        for parent, name, layer in places:
            if isinstance(layer, nn.Conv2d):
                source = self.conv(parent, name, source)
            elif isinstance(layer, nn.LeakyReLU):
                source = self.operation(parent, name, source)

    def conv(self, parent: nn.Module, name: str, source: FakeQuantizer | None) -> FakeQuantizer | None:
        """The convolution `parent.name` in integers. A layernorm that could not fold is rounded behind it."""
        module = parent.get_submodule(name)
        if isinstance(module, nn.Identity):  # a transition that went into the fusion
            return source
        if isinstance(module, nn.Sequential):
            module.append(FakeQuantizer(learnt=self.learnt))
            self.conv(module, "0", source)
            return cast(FakeQuantizer, module[-1])
        levels = self.config.weight_levels
        conv = QuantConv2d(cast(nn.Conv2d, module), source=source, levels=levels, learnt=self.learnt)
        setattr(parent, name, conv)
        return conv.quantizer

    def rounded(self, parent: nn.Module, name: str) -> FakeQuantizer:
        """The convolution `parent.name` in float, with a rounded output."""
        module = parent.get_submodule(name)
        if isinstance(module, nn.Sequential):
            module.append(FakeQuantizer(learnt=self.learnt))
            return cast(FakeQuantizer, module[-1])
        conv = RoundedConv2d(cast(nn.Conv2d, module), learnt=self.learnt)
        setattr(parent, name, conv)
        return conv.quantizer

    def operation(self, parent: nn.Module, name: str, source: FakeQuantizer | None = None) -> FakeQuantizer | None:
        """The operation `parent.name` with a rounded output; where there is none, what comes in (`source`) goes out."""
        module = parent.get_submodule(name)
        if isinstance(module, nn.Identity):
            return source
        operation = QuantizedOperation(module, learnt=self.learnt)
        setattr(parent, name, operation)
        return operation.quantizer
