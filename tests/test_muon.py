"""The optimiser Muon: what it makes of a gradient, which parameters it takes, and that it resumes exactly."""

import copy

import pytest
import torch
from torch import nn
from torch.optim import AdamW

from aethernet.training.muon import Muon, is_matrix, orthogonalized


def small_network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.LeakyReLU(), nn.Conv2d(8, 3, 1)
    )


def train(network: nn.Module, optimizer: torch.optim.Optimizer, steps: int, start: int = 0) -> list[float]:
    losses = []
    for number in range(start, start + steps):
        x = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(number))
        loss = (network(x) - x.flip(1)).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 8, 72), (2, 48, 27)])
def test_orthogonalized_keeps_singular_vectors_and_evens_singular_values(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    result = orthogonalized(matrices)
    # The iteration stops early: values between 0.7 and 1.2 suffice (Jordan et al.); tiny ones of a square random
    # matrix may stay below.
    values = torch.linalg.svdvals(result)
    assert values.max() < 1.3
    assert values[:, : shape[1] // 2 if shape[1] == shape[2] else None].min() > 0.5
    u, _, vh = torch.linalg.svd(matrices, full_matrices=False)
    rotated = u.mT @ result @ vh.mT  # diagonal if the singular vectors are the same
    off_diagonal = rotated - torch.diag_embed(torch.diagonal(rotated, dim1=1, dim2=2))
    assert off_diagonal.abs().max() < 1e-3  # float32 through five steps of cubes


def test_the_scale_of_a_gradient_does_not_matter():
    matrices = torch.randn(1, 6, 20, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(orthogonalized(1e-6 * matrices), orthogonalized(matrices), rtol=1e-4, atol=1e-5)
    assert not orthogonalized(torch.zeros(1, 6, 20)).any()


def test_matrices_follow_muon_and_the_rest_adamw():
    network = small_network()
    matrices = [name for name, parameter in network.named_parameters() if is_matrix(parameter)]
    assert matrices == ["0.weight", "3.weight"]  # the depthwise kernel and all biases are none
    optimizer = Muon(network.parameters(), lr=0.1, adamw_lr=1e-3)
    assert [(group["lr"], len(group["params"])) for group in optimizer.param_groups] == [(0.1, 2), (1e-3, 4)]


def test_its_adamw_is_torchs():
    ours, theirs = small_network(), small_network()
    for network in (ours, theirs):
        network.requires_grad_(False)
        network[1].requires_grad_(True)
    train(ours, Muon(ours[1].parameters(), adamw_lr=1e-2, betas=(0.9, 0.99)), 5)
    train(theirs, AdamW(theirs[1].parameters(), lr=1e-2, betas=(0.9, 0.99), weight_decay=0.0), 5)
    torch.testing.assert_close(ours[1].weight, theirs[1].weight, rtol=1e-5, atol=1e-7)  # another order of roundings


def test_a_step_of_a_matrix_has_the_size_of_the_rate():
    network = small_network()
    before = network[3].weight.detach().clone()
    train(network, Muon(network.parameters(), lr=0.05), 1)
    step = (network[3].weight - before).flatten(1)
    assert 0.05 * 0.5 < torch.linalg.svdvals(step).max() < 0.05 * 1.3


def test_training_goes_on_from_a_saved_state_as_if_it_had_not_stopped():
    straight, stopped = small_network(), small_network()
    train(straight, Muon(straight.parameters()), 6)
    optimizer = Muon(stopped.parameters())
    train(stopped, optimizer, 3)
    resumed, state = copy.deepcopy(stopped), copy.deepcopy(optimizer.state_dict())
    optimizer = Muon(resumed.parameters())
    optimizer.load_state_dict(state)
    train(resumed, optimizer, 3, start=3)
    for name, value in straight.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_scheduler_scales_both_rates():
    network = small_network()
    optimizer = Muon(network.parameters(), lr=0.1, adamw_lr=1e-3)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
    optimizer.step()
    scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.05, 5e-4]


def test_weight_decay_shrinks_matrices_only():
    network = small_network()
    before = copy.deepcopy(network.state_dict())
    optimizer = Muon(network.parameters(), lr=0.1, weight_decay=0.5)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch.testing.assert_close(network[0].weight, before["0.weight"] * 0.95)
    assert torch.equal(network[1].weight, before["1.weight"]) and torch.equal(network[0].bias, before["0.bias"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lr": -1.0}, "lr must not be negative, but is -1.0"),
        ({"adamw_lr": float("nan")}, "adamw_lr must not be negative, but is nan"),
        ({"momentum": 1.0}, r"momentum must be in \[0, 1\), but is 1.0"),
        ({"betas": (0.9, 1.5)}, r"betas\[1\] must be in"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Muon(small_network().parameters(), **arguments)
