"""DeploymentNorm: batch statistics first, frozen tracked ones afterwards, carried along by everything that saves."""

import copy

import pytest
import torch
from helpers.networks import picture
from torch.nn import functional as F

from aethernet.errors import UsageError
from aethernet.network.norms import DeploymentNorm, LayerNorm2d, batch_statistics


def batches(count: int) -> list[torch.Tensor]:
    return [picture(2, 3, 5, 6, seed=seed) * (seed + 1) for seed in range(count)]


def test_training_normalises_with_the_batch():
    norm, x = DeploymentNorm(3, freeze_iter=10), batches(1)[0]
    assert torch.allclose(norm(x), F.batch_norm(x, None, None, training=True), atol=1e-6)


def test_statistics_are_a_plain_mean_at_first_and_a_moving_average_later():
    norm = DeploymentNorm(3, freeze_iter=None, momentum=0.25)
    seen = [x.mean(dim=(0, 2, 3)) for x in batches(6)]
    for x in batches(4):
        norm(x)
    assert torch.allclose(norm.running_mean, torch.stack(seen[:4]).mean(dim=0), atol=1e-6)
    expected = norm.running_mean.clone()
    for x, mean in zip(batches(6)[4:], seen[4:], strict=True):
        norm(x)
        expected = 0.75 * expected + 0.25 * mean
    assert torch.allclose(norm.running_mean, expected, atol=1e-6)


def test_a_compiled_norm_counts_and_averages_as_it_is():
    norm = DeploymentNorm(3, freeze_iter=3)
    compiled = torch.compile(copy.deepcopy(norm), backend="eager")
    for x in batches(5):
        assert torch.allclose(compiled(x), norm(x), atol=1e-6)
    assert norm.frozen
    for expected, found in zip(norm.parameters(), compiled.parameters(), strict=True):
        assert torch.equal(expected, found)


def test_after_the_freeze_training_is_evaluation():
    norm = DeploymentNorm(3, freeze_iter=3).train()
    for x in batches(3):
        assert not norm.frozen
        norm(x)
    statistics = norm.running_mean.clone()
    x = batches(9)[8]
    trained = norm(x)
    assert torch.equal(trained, norm.eval()(x))
    assert torch.equal(norm.running_mean, statistics)
    assert norm.iterations == 3


@pytest.mark.parametrize("freeze_iter", [0, None])
def test_the_ends_of_freezing(freeze_iter):
    norm = DeploymentNorm(3, freeze_iter=freeze_iter)
    for x in batches(3):
        norm(x)
    assert norm.frozen == (freeze_iter == 0)
    assert torch.equal(norm.running_mean, torch.zeros(3)) == (freeze_iter == 0)


def test_evaluation_leaves_the_statistics_alone():
    norm = DeploymentNorm(3, freeze_iter=10).eval()
    norm(batches(1)[0])
    assert norm.iterations == 0


def test_the_count_travels_in_the_state_dict():
    norm = DeploymentNorm(3, freeze_iter=3)
    for x in batches(2):
        norm(x)
    resumed = DeploymentNorm(3, freeze_iter=3)
    resumed.load_state_dict(norm.state_dict())
    twin = copy.deepcopy(norm)
    for module in (norm, resumed, twin):
        module(batches(3)[2])
    assert norm.frozen
    assert resumed.frozen
    assert twin.frozen
    assert torch.equal(norm.running_var, resumed.running_var)
    finished = DeploymentNorm(3, freeze_iter=3)
    finished.load_state_dict(norm.state_dict())
    assert finished.frozen


def test_a_parameters_only_average_carries_the_statistics():
    norm, average = DeploymentNorm(3, freeze_iter=10), DeploymentNorm(3, freeze_iter=10)
    assert not list(norm.buffers())
    for x in batches(4):
        norm(x)
    for name, parameter in average.named_parameters():
        parameter.data.mul_(0.5).add_(dict(norm.named_parameters())[name].data, alpha=0.5)
    assert torch.allclose(average.running_mean, norm.running_mean / 2)


def test_statistics_are_float32_under_autocast():
    norm = DeploymentNorm(3, freeze_iter=10)
    x = (picture(2, 3, 64, 64) * 3 + 200).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = norm(x)
    assert out.dtype == torch.bfloat16
    assert torch.allclose(norm.running_mean, x.float().mean(dim=(0, 2, 3)))


def test_a_single_value_has_variance_zero():
    mean, var = batch_statistics(torch.full((1, 2, 1, 1), 3.0))
    assert mean.tolist() == [3.0, 3.0]
    assert var.tolist() == [0.0, 0.0]


def test_gradient_flows_through_the_batch_statistics():
    norm = DeploymentNorm(2, freeze_iter=5).double()
    x = picture(2, 2, 3, 3, dtype=torch.float64).requires_grad_()

    def trained(x: torch.Tensor) -> torch.Tensor:
        return copy.deepcopy(norm)(x)

    assert torch.autograd.gradcheck(trained, (x,))


def test_data_parallel_copies_are_refused_in_training():
    norm = DeploymentNorm(3, freeze_iter=10)
    norm._is_replica = True  # as nn.parallel.replicate marks its copies
    with pytest.raises(UsageError, match="torchrun"):
        norm(batches(1)[0])
    norm.eval()(batches(1)[0])


def test_layernorm_is_per_pixel():
    norm, x = LayerNorm2d(3), picture(2, 3, 4, 5)
    expected = (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True, correction=0) + 1e-6).sqrt()
    assert torch.allclose(norm(x), expected, atol=1e-5)
