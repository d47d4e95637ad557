"""Weights of an earlier stage load into a later one; the reverse, and another network's weights, are refused."""

import copy
import dataclasses

import pytest
import torch
from helpers.networks import picture, randomise
from torch import nn

from aethernet import aether_small, aether_tiny
from aethernet.errors import CheckpointError, StageError
from aethernet.network.config import CONFIG_KEY
from aethernet.network.network import advance_state_dict

FACTORIES = {"tiny": aether_tiny, "small": aether_small}


@pytest.mark.parametrize("variant", FACTORIES)
def test_training_weights_load_strictly_into_a_fused_network(variant):
    trained = randomise(FACTORIES[variant](2)).eval()
    fused = FACTORIES[variant](2, stage="fused").eval()
    state = trained.state_dict()
    keys = list(state)
    fused.load_state_dict(state, strict=True)
    x = picture(2, 3, 9, 5)
    with torch.no_grad():
        assert (trained(x) - fused(x)).abs().max() <= 1e-5  # the bound of fusion in float32, see test_parity
    assert list(state) == keys, "loading must not change the caller's dictionary"


def test_loading_inside_another_module_fuses_too():
    trained = nn.ModuleDict({"net": randomise(aether_tiny(2))}).eval()
    fused = nn.ModuleDict({"net": aether_tiny(2, stage="fused")}).eval()
    fused.load_state_dict(trained.state_dict(), strict=True)
    x = picture(1, 3, 6, 6)
    with torch.no_grad():
        assert (trained["net"](x) - fused["net"](x)).abs().max() <= 1e-5


def test_fused_weights_equal_fusing_the_network():
    trained = randomise(aether_tiny(3))
    state = copy.deepcopy(trained.state_dict())
    state.pop(CONFIG_KEY)
    fused = advance_state_dict(state, trained.config, dataclasses.replace(trained.config, stage="fused"))
    trained.fuse_model()
    assert {name for name in trained.state_dict() if name != CONFIG_KEY} == set(fused)
    assert all(torch.equal(trained.state_dict()[name], value) for name, value in fused.items())


def test_fusing_on_the_way_in_draws_no_random_numbers():
    trained, fused = aether_tiny(2), aether_tiny(2, stage="fused")
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    fused.load_state_dict(trained.state_dict())
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.parametrize("stage", ["train", "fused", "qat"])
def test_mapped_weights_have_the_names_of_the_network(stage):
    """traiNNer-redux compares the two sets of names before it loads, and refuses a file whose names differ."""
    trained = randomise(aether_small(2)).state_dict()
    network, expected = (aether_small(2, stage=stage) for _ in range(2))
    expected.load_state_dict(trained)
    mapped = network.map_state_dict(trained)
    assert mapped is trained, "a caller that drops entries from it must drop them for good"
    assert set(mapped) == set(network.state_dict())
    network.load_state_dict(mapped, strict=True)
    assert all(torch.equal(value, expected.state_dict()[name]) for name, value in network.state_dict().items())


def test_weights_that_do_not_fit_are_not_mapped():
    fused = aether_tiny(2, stage="fused").state_dict()
    with pytest.raises(StageError, match="weights of stage 'fused' cannot go back"):
        aether_tiny(2).map_state_dict(fused)
    with pytest.raises(CheckpointError, match="scale: 3 in the weights, 2 here"):
        aether_tiny(2).map_state_dict(aether_tiny(3).state_dict())
    assert set(aether_tiny(2).map_state_dict({"foreign": torch.zeros(1)})) == {"foreign"}


@pytest.mark.parametrize(
    ("network", "weights", "message"),
    [
        (aether_tiny(2), aether_tiny(4), r"aether_tiny x4.*scale: 4 in the weights, 2 here"),
        (aether_tiny(2), aether_small(2), r"aether_small x2.*width: 96 in the weights"),
        (aether_tiny(2), aether_tiny(2, skip="bilinear"), "skip: 'bilinear' in the weights"),
    ],
)
def test_weights_of_another_network_are_refused(network, weights, message):
    with pytest.raises(CheckpointError, match=message):
        network.load_state_dict(weights.state_dict())


def test_what_only_shapes_training_may_differ():
    network = aether_small(2, drop_path=0.2, norm_freeze_iter=7)
    network.load_state_dict(aether_small(2).state_dict())
    assert (network.config.drop_path, network.config.norm_freeze_iter) == (0.2, 7)


def test_a_missing_or_foreign_key_is_named():
    state = aether_tiny(2).state_dict()
    state.pop(CONFIG_KEY)
    with pytest.raises(RuntimeError, match=f"Missing key.*{CONFIG_KEY}"):
        aether_tiny(2).load_state_dict(state)
    with pytest.raises(RuntimeError, match=r"Unexpected key.*head\.weight"):
        aether_tiny(2).load_state_dict({**aether_tiny(2).state_dict(), "head.weight": torch.zeros(1)})


def test_copies_are_independent():
    network = aether_tiny(2)
    twin = copy.deepcopy(network).fuse_model()
    assert network.config.stage == "train"
    assert twin.config.stage == "fused"
