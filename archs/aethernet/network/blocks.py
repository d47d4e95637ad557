"""The parts of the network, in the order in which a picture meets them.

All tensors are (N, C, H, W). Modules that are `Fusible` become one plain convolution at deployment.
"""

import copy
import math
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aethernet.network.depthwise import depthwise_conv2d
from aethernet.network.norms import DeploymentNorm, LayerNorm2d
from aethernet.network.operations import Add, Multiply
from aethernet.network.reparam import Fusible, pad_kernel, plain_conv, scale_outputs

Tail = Literal["stepwise", "direct"]
"""How the picture's pixels are made: in steps of two, with an activation between, or by one convolution."""
LEAKY_SLOPE = 0.1
FUSION_NORM_INIT = 0.1


class ScaledConv2d(Fusible):
    """A convolution whose output is multiplied by trainable numbers, applied to the weights instead (same function).

    Args:
        scale_channels: 1 for one number (a temperature), `out_channels` for one each (a residual scale).
        scale_init: their initial value.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, scale_channels: int, scale_init: float
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        self.scale = nn.Parameter(torch.full((scale_channels,), scale_init))

    def forward(self, x: Tensor) -> Tensor:
        assert self.conv.bias is not None
        weight, bias = self.conv.weight * self.scale.view(-1, 1, 1, 1), self.conv.bias * self.scale
        return F.conv2d(x, weight, bias, padding=self.conv.padding)

    def fused(self) -> nn.Conv2d:
        assert self.conv.bias is not None
        return plain_conv(*scale_outputs(self.conv.weight, self.conv.bias, self.scale))


class NormedConv2d(Fusible):
    """Base of a linear layer with a norm right behind it; subclasses say which convolution they amount to.

    The norm stands behind the convolution, never before it: a shift in front of zero padding does not fold at the
    borders.
    """

    def __init__(self, norm: nn.Module, groups: int) -> None:
        super().__init__()
        self.norm = norm
        self.groups = groups

    @abstractmethod
    def kernel_and_bias(self) -> tuple[Tensor, Tensor]:
        """The (O, I / groups, k, k) kernel and the (O,) bias before the norm."""

    def fused(self) -> nn.Conv2d | nn.Sequential:
        weight, bias = self.kernel_and_bias()
        if isinstance(self.norm, DeploymentNorm):
            return plain_conv(*scale_outputs(weight, bias, *self.norm.affine()), groups=self.groups)
        conv = plain_conv(weight, bias, groups=self.groups)
        return conv if isinstance(self.norm, nn.Identity) else nn.Sequential(conv, copy.deepcopy(self.norm))


def _has_shift(norm: nn.Module) -> bool:
    """Whether a bias in front of the norm would be a second name for the norm's own shift."""
    return isinstance(norm, DeploymentNorm)


class ReparamLargeKernelConv(NormedConv2d):
    """Depthwise large kernel beside a depthwise 3x3 one, and a norm: a single depthwise convolution at deployment.

    The two kernels are added before the convolution, not after: the same function at the price of one branch. The
    large kernel starts near zero, so that training begins as a 3x3 network and grows outwards.
    """

    bias: nn.Parameter | None

    def __init__(self, channels: int, kernel_size: int, norm: nn.Module, small_kernel_size: int = 3) -> None:
        super().__init__(norm, groups=channels)
        self.kernel_size = kernel_size
        self.large = nn.Parameter(torch.empty(channels, 1, kernel_size, kernel_size))
        self.small = nn.Parameter(torch.empty(channels, 1, small_kernel_size, small_kernel_size))
        self.register_parameter("bias", None if _has_shift(norm) else nn.Parameter(torch.zeros(channels)))
        nn.init.trunc_normal_(self.large, std=1e-3)
        nn.init.kaiming_uniform_(self.small, a=math.sqrt(5))

    def kernel_and_bias(self) -> tuple[Tensor, Tensor]:
        bias = self.large.new_zeros(self.large.shape[0]) if self.bias is None else self.bias
        return self.large + pad_kernel(self.small, self.kernel_size), bias

    def forward(self, x: Tensor) -> Tensor:
        weight, _ = self.kernel_and_bias()
        return self.norm(depthwise_conv2d(x, weight, self.bias))


class DenseConv(NormedConv2d):
    """A dense convolution and a norm: a single convolution at deployment."""

    bias: nn.Parameter | None

    def __init__(self, channels: int, kernel_size: int, norm: nn.Module) -> None:
        super().__init__(norm, groups=1)
        self.weight = nn.Parameter(torch.empty(channels, channels, kernel_size, kernel_size))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        self.register_parameter("bias", None if _has_shift(norm) else nn.Parameter(torch.zeros(channels)))

    def kernel_and_bias(self) -> tuple[Tensor, Tensor]:
        return self.weight, self.weight.new_zeros(self.weight.shape[0]) if self.bias is None else self.bias

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(F.conv2d(x, self.weight, self.bias, padding=self.weight.shape[-1] // 2))


class GatedConvFFN(nn.Module):
    """Gated feed-forward part: `out(sigmoid(temperature * gate(x)) * main(x))`, all convolutions 1x1.

    The temperature is one trainable number, the output carries a trainable residual scale per channel; both fold.

    The gate is a sigmoid, not SiLU: a product of two unbounded numbers squares what is larger than usual, the next
    block squares it again, and with fixed norm statistics nothing takes it back. With SiLU `small` reached infinity
    within 90 iterations; with the sigmoid it trains, and a short network is as good (docs/architecture.md).
    Source: Dauphin et al., Language Modeling with Gated Convolutional Networks (ICML 2017).
    """

    def __init__(self, channels: int, expansion: float, residual_scale: float) -> None:
        super().__init__()
        hidden = round(channels * expansion)
        self.gate: nn.Module = ScaledConv2d(channels, hidden, 1, scale_channels=1, scale_init=1.0)
        self.main: nn.Module = nn.Conv2d(channels, hidden, 1)
        self.out: nn.Module = ScaledConv2d(hidden, channels, 1, scale_channels=channels, scale_init=residual_scale)
        self.sigmoid: nn.Module = nn.Sigmoid()
        self.product: nn.Module = Multiply()
        # Gate and main are multiplied: a small start in both would silence the body.
        for conv in (self.gate.conv, self.main):
            assert conv.bias is not None
            nn.init.normal_(conv.weight, std=channels**-0.5)
            nn.init.zeros_(conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.product(self.sigmoid(self.gate(x)), self.main(x)))


class ChannelAttention(nn.Module):
    """Squeeze-and-excitation: weighs channels by the mean of the whole picture (so a tile differs from the whole).

    `given` means, (N, C, 1, 1), take the place of those of the input, and `watch` sees the input: `PictureMeans` uses
    both to make tiles equal the whole. Source: Hu et al., Squeeze-and-Excitation Networks (CVPR 2018).
    """

    given: Tensor | None = None
    watch: Callable[[Tensor], None] | None = None

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, max(4, channels // reduction), 1)
        self.excite = nn.Conv2d(max(4, channels // reduction), channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        if self.watch is not None:
            self.watch(x)
        pooled = x.mean(dim=(2, 3), keepdim=True) if self.given is None else self.given
        return x * self.weights(pooled)

    def weights(self, means: Tensor) -> Tensor:
        """What the channels are multiplied by, (N, C, 1, 1), for their means."""
        return torch.sigmoid(self.excite(F.leaky_relu(self.squeeze(means), LEAKY_SLOPE)))


class SpatialAttention(nn.Module):
    """Weighs pixels by the mean and the maximum over their channels, seen through a 7x7 window.

    Source: Woo et al., CBAM (ECCV 2018).
    """

    kernel_size = 7

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, self.kernel_size, padding=self.kernel_size // 2)

    def forward(self, x: Tensor) -> Tensor:
        summary = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        return x * torch.sigmoid(self.conv(summary))


class DropPath(Fusible):
    """Stochastic depth: in training drops the residual branch of a whole sample; the identity at deployment.

    Source: Huang et al., Deep Networks with Stochastic Depth (ECCV 2016).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0.0:
            return x
        keep = 1.0 - self.rate
        return x * x.new_empty(x.shape[0], 1, 1, 1).bernoulli_(keep).div_(keep)

    def fused(self) -> nn.Identity:
        return nn.Identity()

    def extra_repr(self) -> str:
        return f"rate={self.rate:.3f}"


class AetherBlock(nn.Module):
    """One residual block: large-kernel mixing, norm, gated feed-forward, optional attention.

    The residual scale stands before the attention, in the last convolution of the feed-forward part, where it folds.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int,
        norm: nn.Module,
        *,
        expansion: float,
        residual_scale: float,
        channel_attention: bool,
        spatial_attention: bool,
        drop_path: float,
    ) -> None:
        super().__init__()
        self.mixer: nn.Module = ReparamLargeKernelConv(channels, kernel_size, norm)
        self.ffn = GatedConvFFN(channels, expansion, residual_scale)
        self.attention = nn.Sequential()
        if channel_attention:
            self.attention.add_module("channel", ChannelAttention(channels))
        if spatial_attention:
            self.attention.add_module("spatial", SpatialAttention())
        self.drop_path = DropPath(drop_path)
        self.residual: nn.Module = Add()

    def forward(self, x: Tensor) -> Tensor:
        return self.residual(x, self.drop_path(self.attention(self.ffn(self.mixer(x)))))


class PlainBlock(nn.Sequential):
    """A dense convolution with its norm, then a LeakyReLU: where a few layers are all that the time allows.

    Runtimes compute the two as one operation, so that nothing but the convolution costs time. Source: Dong et al.,
    FSRCNN (ECCV 2016), which showed such stacks at low resolution.
    """

    def __init__(self, channels: int, kernel_size: int, norm: nn.Module) -> None:
        super().__init__(DenseConv(channels, kernel_size, norm), nn.LeakyReLU(LEAKY_SLOPE))


class QuantFusion(NormedConv2d):
    """Fuses the concatenated stage outputs by a 1x1 convolution, a norm and a trainable error compensation.

    The compensation is a bias per channel behind the norm. It folds, and quantisation-aware fine-tuning uses it to
    take back the shift that rounding brings.
    """

    def __init__(self, in_channels: int, out_channels: int, norm: nn.Module) -> None:
        super().__init__(norm, groups=1)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 1, 1))
        self.error_compensation = nn.Parameter(torch.zeros(out_channels))
        # Unit variance would drown the shallow features it is added to: 0.2 to 0.3 dB after 700 iterations.
        if isinstance(norm, DeploymentNorm | LayerNorm2d):
            nn.init.constant_(norm.weight, FUSION_NORM_INIT)
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def kernel_and_bias(self) -> tuple[Tensor, Tensor]:
        return self.weight, torch.zeros_like(self.error_compensation)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(F.conv2d(x, self.weight)) + self.error_compensation.view(1, -1, 1, 1)

    def fused(self) -> nn.Conv2d | nn.Sequential:
        fused = super().fused()
        last = fused if isinstance(fused, nn.Conv2d) else fused[-1]
        bias = last.bias
        assert isinstance(bias, Tensor)
        last.bias = nn.Parameter((bias.double() + self.error_compensation.double()).to(bias.dtype))
        return fused


class AdaptiveUpsample(nn.Sequential):
    """Features at low resolution to a picture at `scale` times the size, by convolutions and PixelShuffle.

    Stepwise, scales 4 and 8 go in steps of two with a LeakyReLU between, 1, 2 and 3 in one step; directly, all do. No
    convolution runs at full output resolution (scale 1 apart). Source of PixelShuffle: Shi et al., ESPCN (CVPR 2016).
    """

    STEPS: ClassVar[dict[int, tuple[int, ...]]] = {1: (1,), 2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}

    def __init__(self, in_channels: int, out_channels: int, scale: int, tail: Tail, mid_channels: int) -> None:
        layers: list[nn.Module] = []
        *inner, last = self.steps(scale, tail)
        for step in inner:
            layers += [
                nn.Conv2d(in_channels, mid_channels * step**2, 3, padding=1),
                nn.PixelShuffle(step),
                nn.LeakyReLU(LEAKY_SLOPE),
            ]
            in_channels = mid_channels
        layers.append(nn.Conv2d(in_channels, out_channels * last**2, 3, padding=1))
        if last > 1:
            layers.append(nn.PixelShuffle(last))
        super().__init__(*layers)

    @classmethod
    def steps(cls, scale: int, tail: Tail) -> tuple[int, ...]:
        """The factors by which the picture grows, one convolution for each."""
        return cls.STEPS[scale] if tail == "stepwise" else (scale,)

    @property
    def last_conv(self) -> nn.Conv2d:
        return [layer for layer in self if isinstance(layer, nn.Conv2d)][-1]
