"""The networks that an arena may train: ours by type, those of others by a text."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from aethernet.arena import values
from aethernet.arena.training import Training
from aethernet.checks import did_you_mean
from aethernet.errors import AetherError, ConfigError, OptionError
from aethernet.integrations.peers import EXAMPLE, build_trainable, probe_scale
from aethernet.network.network import AetherNet
from aethernet.network.variants import FACTORIES

OURS = {factory.__name__: factory for factory in FACTORIES}


@dataclass(frozen=True)
class Network:
    """A network of the arena, with its own training.

    Attributes:
        spec: what it is, in one line.
        network_g: its section in BasicSR's option file.
        is_ours: whether it is an AetherNet, which freezes its statistics and is fused.
        parameters: of the form that is trained.
        structure: hash over names and shapes of its tensors, which tells when the code behind it has changed.
    """

    name: str
    spec: str
    network_g: Mapping
    is_ours: bool
    parameters: int
    structure: str
    training: Training

    def model(self, weights: str) -> str:
        """The MODEL text under which `bench` finds this network with trained weights."""
        return weights if self.is_ours else f"{self.spec}@{weights}"


def read_network(name: str, section: Mapping, scale: int, training: Training) -> Network:
    """A network from its section in the recipe: `type: aether_...` with its arguments, or `network: TEXT`.

    Raises:
        OptionError: neither of the two, or another scale than the recipe's.
        ConfigError: it cannot be built.
    """
    place = f"networks: {name}"
    if ("type" in section) == ("network" in section):
        raise OptionError(f"{place}: needs either type: ({', '.join(OURS)}) or network: such as {EXAMPLE!r}")
    try:
        if "network" in section:
            spec = values.section(section, place, ("network", "recipe"))["network"]
            if not isinstance(spec, str):
                raise OptionError(f"{place}: network: must be a text such as {EXAMPLE!r}, not {spec!r}")
            network_g: dict = {"type": "aether_peer", "network": spec}
            network = build_trainable(spec)
            own = probe_scale(network.eval(), 3, spec)
        else:
            network_g = {"type": section["type"], "scale": scale, **section}
            network = _ours(network_g, place)
            own = network.config.scale
            arguments = [f"{key}={value!r}" for key, value in section.items() if key != "type"]
            spec = f"{section['type']}({', '.join(arguments)})" if arguments else section["type"]
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from error
    if own != scale:
        raise OptionError(f"{place}: {spec} upscales by {own}, the recipe by {scale}: they must agree")
    return Network(
        name=name,
        spec=spec,
        network_g=network_g,
        is_ours=isinstance(network, AetherNet),
        parameters=sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad),
        structure=_structure(network),
        training=training,
    )


def _ours(network_g: Mapping, place: str) -> AetherNet:
    factory = OURS.get(str(network_g["type"]))
    if factory is None:
        raise OptionError(
            f"{place}: type: {network_g['type']!r} is none of ours; {did_you_mean(str(network_g['type']), OURS)} "
            "Those of others are given as network: 'package.module:Class(argument=value)'"
        )
    with torch.random.fork_rng(devices=[]):
        try:
            return factory(**{key: value for key, value in network_g.items() if key != "type"})
        except AetherError:
            raise
        except TypeError as error:
            raise ConfigError(f"{network_g['type']} cannot be built ({error})") from error


def _structure(network: nn.Module) -> str:
    shapes = [(name, tuple(value.shape)) for name, value in network.state_dict().items()]
    config = network.config if isinstance(network, AetherNet) else None
    return hashlib.sha256(repr((config, shapes)).encode()).hexdigest()[:12]
