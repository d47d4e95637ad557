"""Normalisation layers: one that vanishes at deployment, one for training that does not need to."""

import math

import torch
from torch import Tensor, distributed, nn
from torch._compile import _disable_dynamo
from torch.nn import functional as F

from aethernet.errors import UsageError


class DeploymentNorm(nn.Module):
    """Normalises with batch statistics first, with frozen tracked statistics afterwards, and folds into a convolution.

    Statistics are per channel over (N, H, W), in float32 under autocast, and shared by all ranks under
    `torch.distributed`. They are tracked by an exponential moving average. After `freeze_iter` forward passes in
    training mode the layer is the affine map that will be deployed: whole pictures have other statistics than
    training patches, and only a network that was trained with fixed statistics is right on both.

    The statistics and the counter are parameters without gradient, not buffers. A weight average over
    `named_parameters()` (BasicSR's `model_ema`) then carries them along, and DistributedDataParallel has no buffers
    to broadcast when rank 0 validates alone.

    Args:
        channels: C of the (N, C, H, W) input.
        freeze_iter: forward passes in training mode after which the statistics are fixed; None never fixes them,
            0 leaves them at mean 0 and variance 1.
        momentum: weight of the newest batch in the moving average. The first batches weigh 1, 1/2, 1/3, ... down
            to it, so that the initial values leave no trace.
        eps: added to the variance.
    """

    def __init__(self, channels: int, freeze_iter: int | None, momentum: float = 0.01, eps: float = 1e-5) -> None:
        super().__init__()
        self.channels = channels
        self.freeze_iter = freeze_iter
        self.momentum = momentum
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.running_mean = nn.Parameter(torch.zeros(channels), requires_grad=False)
        self.running_var = nn.Parameter(torch.ones(channels), requires_grad=False)
        self.iterations = nn.Parameter(torch.zeros(()), requires_grad=False)
        self._counted: float | None = 0
        self.frozen = freeze_iter == 0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.frozen:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
            )
        mean, var = batch_statistics(x.to(torch.promote_types(x.dtype, torch.float32)))
        self._track(mean.detach(), var.detach())
        scale = self.weight * torch.rsqrt(var + self.eps)
        shift = self.bias - mean * scale
        return torch.addcmul(shift.to(x.dtype).view(1, -1, 1, 1), x, scale.to(x.dtype).view(1, -1, 1, 1))

    def affine(self) -> tuple[Tensor, Tensor]:
        """The (C,) scale and shift in float64 that this layer is at deployment: `y = x * scale + shift`."""
        scale = self.weight.double() * torch.rsqrt(self.running_var.double() + self.eps)
        return scale, self.bias.double() - self.running_mean.double() * scale

    @_disable_dynamo  # torch.compiler.disable, without importing the compiler before it is needed: a second
    @torch.no_grad()
    def _track(self, mean: Tensor, var: Tensor) -> None:
        """Counts one iteration and averages its statistics; the count is mirrored in Python to spare a device sync.

        A channel whose statistics are not finite keeps its former ones, so that one damaged batch, whose step a
        trainer skips, does not stay in the average for ever.
        """
        if getattr(self, "_is_replica", False):
            raise UsageError(
                "nn.DataParallel trains copies that forget the norm statistics: train on several GPUs with "
                "`torchrun --nproc_per_node=N -m aethernet train -opt FILE --launcher pytorch`, or set num_gpu: 1"
            )
        if self._counted is None:
            self._counted = self._read_count()
        self._counted += 1
        self.iterations.fill_(self._counted)
        rate = max(self.momentum, 1.0 / self._counted)
        finite = torch.isfinite(var)  # the mean is finite wherever the variance is
        self.running_mean.lerp_(torch.where(finite, mean.to(self.running_mean.dtype), self.running_mean), rate)
        self.running_var.lerp_(torch.where(finite, var.to(self.running_var.dtype), self.running_var), rate)
        self.frozen = self.freeze_iter is not None and self._counted >= self.freeze_iter

    def _load_from_state_dict(self, *args, **kwargs) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        if not self.iterations.is_meta:
            self._counted = self._read_count()
            self.frozen = self.freeze_iter is not None and self._counted >= self.freeze_iter

    def _read_count(self) -> float:
        """The counter as a whole number, which a weight average only approaches; infinite from half precision."""
        count = self.iterations.item()
        return round(count) if math.isfinite(count) else count

    def extra_repr(self) -> str:
        return f"{self.channels}, freeze_iter={self.freeze_iter}"


class SumOverRanks(torch.autograd.Function):
    """The sum of a tensor over all ranks, differentiable: every rank's input moves every rank's loss.

    PyTorch's own differentiable collectives are deprecated or private.
    """

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        total = x.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        distributed.all_reduce(total)
        return total


def batch_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance (C,) of x (N, C, H, W) over N, H, W and over all ranks, differentiable.

    Every rank must hold the same number of values, as BasicSR's loaders guarantee.
    """
    if distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1:
        world_size = distributed.get_world_size()
        mean = SumOverRanks.apply(x.mean(dim=(0, 2, 3))) / world_size
        var = SumOverRanks.apply((x - mean.view(1, -1, 1, 1)).square().mean(dim=(0, 2, 3))) / world_size
        return mean, var
    var, mean = torch.var_mean(x, dim=(0, 2, 3), correction=0)
    return mean, var


class LayerNorm2d(nn.Module):
    """Layer normalisation over the channels of each pixel of an (N, C, H, W) tensor; it cannot fold.

    Its statistics depend on the input, so it stays in the deployed graph. It suits GAN training, where batches
    are small and statistics drift. Source: Ba et al., Layer Normalization (2016).
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        x = F.layer_norm(x.permute(0, 2, 3, 1), (self.weight.numel(),), self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2).contiguous()
