"""Where AetherNet is quantised: which module of the fused network becomes which module of stage `qat`.

Three rules, all for the runtimes' sake: a convolution's output is rounded right behind it, or it runs in float; both
inputs of a sum are on grids; PixelShuffle and the activations before it share a grid.
"""

from typing import TYPE_CHECKING, cast

from torch import nn

from aethernet.blocks import AdaptiveUpsample, AetherBlock, ChannelAttention, SpatialAttention
from aethernet.norms import LayerNorm2d
from aethernet.operations import Add, Centre, Concat, ImageSkip, Multiply
from aethernet.quantization.fake import FakeQuantizer, QuantConv2d, QuantizedOperation, RoundedConv2d
from aethernet.quantization.integer import convert
from aethernet.quantization.settings import QuantizationConfig

if TYPE_CHECKING:
    from aethernet.network import AetherNet

FLOAT_OPERATIONS = (
    nn.Conv2d, nn.LeakyReLU, nn.Sigmoid, Add, Centre, ChannelAttention, Concat, ImageSkip, LayerNorm2d, Multiply,
    SpatialAttention,
)  # fmt: skip
"""What may stay float in a quantised network. Attention always does: it works on a few numbers, or on two channels."""


def place_quantizers(network: "AetherNet", config: QuantizationConfig) -> None:
    """Turns a fused network into one of stage `qat`, in place; weights keep their identity."""
    _Placement(config).network(network)


def place_integers(network: "AetherNet") -> None:
    """Turns a network of stage `qat`, whose ranges are known, into one of stage `int8`, in place."""
    convert(network, FLOAT_OPERATIONS)


class _Placement:
    """Walks a fused network in the order of its forward pass."""

    def __init__(self, config: QuantizationConfig) -> None:
        self.config = config
        self.learnt = config.ranges == "learnt"
        self.float_stream = config.residual == "float"

    def network(self, network: "AetherNet") -> None:
        float_entry = self.config.first == "float" and self.float_stream
        if self.config.first == "int8":
            network.centre = self.operation(network.centre)
            network.shallow = self.conv(network.shallow)
        elif not float_entry:
            network.shallow = self.rounded(network.shallow)
        if isinstance(network.shallow_activation, nn.LeakyReLU) and not float_entry:
            network.shallow_activation = self.operation(network.shallow_activation)
        plain = network.config.block == "plain"
        for stage in network.stages:
            for name, block in cast(nn.Sequential, stage).named_children():
                if isinstance(block, AetherBlock):
                    self.block(block)
                else:
                    self.plain_block(cast(nn.Sequential, block), float_input=float_entry and name == "0")
            float_entry = float_entry and not plain
        stream = self.float_stream and not plain
        for name, transition in network.transitions.named_children():
            if isinstance(transition, nn.Conv2d):
                network.transitions[int(name)] = self.conv(transition, float_input=stream)
        if isinstance(network.concat, Concat):
            network.concat = self.operation(network.concat)
            stream = False
        network.fusion = self.conv_and_norm(network.fusion, float_input=stream)
        if not self.float_stream:
            network.merge = self.operation(network.merge)
        network.reconstruction = self.conv(network.reconstruction, float_input=self.float_stream)
        network.activation = self.operation(network.activation)
        self.upsample(network.upsample)

    def block(self, block: AetherBlock) -> None:
        if self.config.depthwise == "int8":
            block.mixer = self.conv_and_norm(block.mixer, float_input=self.float_stream)
        else:
            block.mixer = self.rounded_and_norm(block.mixer)
        ffn = block.ffn
        ffn.gate, ffn.main, ffn.out = self.conv(ffn.gate), self.conv(ffn.main), self.conv(ffn.out)
        if self.config.gate == "int8":
            ffn.sigmoid = self.operation(ffn.sigmoid)
        ffn.product = self.operation(ffn.product)
        if not self.float_stream:
            if len(block.attention):
                block.attention.add_module("quantizer", FakeQuantizer(learnt=self.learnt))
            block.residual = self.operation(block.residual)

    def plain_block(self, block: nn.Sequential, *, float_input: bool) -> None:
        block[0] = self.conv_and_norm(block[0], float_input=float_input)
        block[1] = self.operation(block[1])

    def upsample(self, upsample: AdaptiveUpsample) -> None:
        last = upsample.last_conv
        for name, layer in upsample.named_children():
            if isinstance(layer, nn.Conv2d) and (layer is not last or self.config.last == "int8"):
                setattr(upsample, name, self.conv(layer))
            elif isinstance(layer, nn.LeakyReLU):
                setattr(upsample, name, self.operation(layer))

    def conv_and_norm(self, module: nn.Module, *, float_input: bool) -> nn.Module:
        """A fused convolution; a layernorm that could not fold follows it in a Sequential."""
        if isinstance(module, nn.Sequential):
            conv, norm = module
            return nn.Sequential(self.conv(conv, float_input=float_input), norm, FakeQuantizer(learnt=self.learnt))
        return self.conv(module, float_input=float_input)

    def rounded_and_norm(self, module: nn.Module) -> nn.Module:
        if isinstance(module, nn.Sequential):
            return nn.Sequential(*module, FakeQuantizer(learnt=self.learnt))
        return self.rounded(module)

    def conv(self, conv: nn.Module, *, float_input: bool = False) -> QuantConv2d:
        return QuantConv2d(cast(nn.Conv2d, conv), learnt=self.learnt, float_input=float_input)

    def rounded(self, conv: nn.Module) -> RoundedConv2d:
        return RoundedConv2d(cast(nn.Conv2d, conv), learnt=self.learnt)

    def operation(self, operation: nn.Module) -> QuantizedOperation:
        return QuantizedOperation(operation, learnt=self.learnt)
