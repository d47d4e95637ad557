"""The depthwise convolution of training: the same function and the same gradients as PyTorch's own."""

import pytest
import torch
from helpers.networks import picture
from torch.nn import functional as F

from aethernet import aether_custom
from aethernet.network import depthwise
from aethernet.network.depthwise import depthwise_conv2d


def gradients(function, *inputs: torch.Tensor) -> list[torch.Tensor]:
    inputs = tuple(each.detach().clone().requires_grad_() for each in inputs)
    out = function(*inputs)
    weights = picture(*out.shape, seed=9, dtype=out.dtype) - 0.5
    return [out, *torch.autograd.grad((out * weights).sum(), inputs)]


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize(("kernel_size", "shape"), [(9, (2, 5, 12, 17)), (11, (3, 4, 7, 6)), (11, (1, 2, 1, 1))])
def test_it_is_pytorchs_convolution(kernel_size, shape, memory_format):
    x = (picture(*shape, dtype=torch.float64) - 0.5).contiguous(memory_format=memory_format)
    weight = picture(shape[1], 1, kernel_size, kernel_size, seed=2, dtype=torch.float64) - 0.5
    bias = torch.linspace(-1, 1, shape[1], dtype=torch.float64)
    assert depthwise._is_faster(x, weight.requires_grad_())
    ours = gradients(depthwise_conv2d, x, weight, bias)
    theirs = gradients(lambda *each: F.conv2d(*each, padding=kernel_size // 2, groups=shape[1]), x, weight, bias)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)  # float64 in another order of summation


def test_numerical_gradients_agree():
    x = (picture(1, 2, 3, 4, dtype=torch.float64) - 0.5).requires_grad_()
    weight = (picture(2, 1, 9, 9, dtype=torch.float64) - 0.5).requires_grad_()
    assert torch.autograd.gradcheck(lambda *each: depthwise_conv2d(*each, None), (x, weight))


def test_a_network_learns_the_same_either_way(monkeypatch):
    found = []
    for least in (9, 99):
        monkeypatch.setattr(depthwise, "LEAST_KERNEL_SIZE", least)
        torch.manual_seed(0)
        network = aether_custom(2, width=4, depths=[1, 1], kernel_size=11).double().train()
        network(picture(2, 3, 9, 8, dtype=torch.float64)).square().mean().backward()
        found.append({name: p.grad for name, p in network.named_parameters() if p.grad is not None})
    for name, gradient in found[0].items():
        torch.testing.assert_close(gradient, found[1][name], rtol=1e-9, atol=1e-12, msg=name)


def test_inference_and_small_kernels_use_pytorchs():
    x, large, small = picture(1, 2, 8, 8), torch.zeros(2, 1, 11, 11), torch.zeros(2, 1, 7, 7, requires_grad=True)
    assert not depthwise._is_faster(x, large)  # no gradient is asked for
    assert not depthwise._is_faster(x, small)
    assert not depthwise._is_faster(picture(1, 2, 65, 8), large.requires_grad_())
    with torch.no_grad():
        assert not depthwise._is_faster(x, large)
    with torch.autocast("cpu", torch.bfloat16):
        assert not depthwise._is_faster(x, large)
