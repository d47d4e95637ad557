"""Registration: complete, repeatable, and never over somebody else's class."""

import pytest
from helpers.extras import needs_basicsr

import aether_arch
from aethernet import AetherNet, aether_tiny
from aethernet.errors import RegistrationError
from aethernet.integrations.registry import register, register_architectures
from aethernet.network.variants import FACTORIES


@needs_basicsr
def test_every_factory_stands_in_the_registry():
    from basicsr.archs import build_network
    from basicsr.utils.registry import ARCH_REGISTRY

    assert {factory.__name__ for factory in FACTORIES} <= set(ARCH_REGISTRY.keys())
    network = build_network({"type": "aether_small", "scale": 2, "stage": "fused"})
    assert isinstance(network, AetherNet)
    assert network.config.stage == "fused"


@needs_basicsr
def test_registering_again_is_fine():
    assert register_architectures() == ["basicsr"]
    assert register_architectures() == ["basicsr"]


@needs_basicsr
def test_a_foreign_class_of_that_name_is_an_error():
    from basicsr.utils.registry import Registry

    registry = Registry("test")

    def foreign():
        pass

    foreign.__name__ = "aether_tiny"
    registry.register(foreign)
    with pytest.raises(RegistrationError, match="'aether_tiny' is taken in the registry"):
        register(registry, aether_tiny)


def test_the_front_door_names_everything_it_promises():
    for name in aether_arch.__all__:
        assert hasattr(aether_arch, name)
