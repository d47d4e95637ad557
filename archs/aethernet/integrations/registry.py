"""Registration into the architecture registries of the training frameworks at hand."""

import dataclasses
import importlib
import importlib.util
import logging
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Protocol

from aethernet.errors import RegistrationError
from aethernet.integrations import neosr, trainner
from aethernet.integrations.basicsr import compat
from aethernet.integrations.peer_arch import aether_peer
from aethernet.network.variants import FACTORIES

logger = logging.getLogger(__name__)


class Registry(Protocol):
    """What the registries of BasicSR and its descendants have in common."""

    def register(self, obj: Callable) -> object: ...
    def get(self, name: str) -> Callable: ...
    def __contains__(self, name: str) -> bool: ...


@dataclasses.dataclass(frozen=True)
class Framework:
    """Where a framework keeps its networks, and what it gets.

    Args:
        module: the module in which its registries stand.
        networks: the factories, as the framework calls them.
        registries: names of the registries in which it looks for a network, in its order; ours go into the last.
        runs_alone: whether it can be imported outside its own programs.
        advice: what to do if it does not import.
    """

    module: str
    networks: tuple[Callable, ...]
    registries: tuple[str, ...] = ("ARCH_REGISTRY",)
    runs_alone: bool = True
    advice: str = ": run this with the Python that has its requirements"

    def load(self) -> ModuleType | None:
        """The module with the registries; None without the framework, or with one that does not import."""
        if not self.runs_alone:
            return sys.modules.get(self.module)
        framework = self.module.partition(".")[0]
        if importlib.util.find_spec(framework) is None:
            return None
        compat.apply()
        try:
            return importlib.import_module(self.module)
        except (ImportError, RuntimeError) as error:
            logger.warning("not registered in %s, which does not import (%s)%s", framework, error, self.advice)
            return None


FRAMEWORKS = {
    "basicsr": Framework("basicsr.utils.registry", (*FACTORIES, aether_peer), advice=": run `aethernet doctor`"),
    "traiNNer": Framework("traiNNer.utils.registry", trainner.NETWORKS, ("SPANDREL_REGISTRY", "ARCH_REGISTRY")),
    # Its modules parse the command line while they are imported, and end a process whose command line is another's.
    "neosr": Framework("neosr.utils.registry", neosr.NETWORKS, runs_alone=False),
}
"""By the name of the package."""


def register(registry: Registry, obj: Callable) -> None:
    """Adds `obj` under its own name. The same object again is fine; another one of that name is an error."""
    if not is_registered(registry, obj):
        registry.register(obj)


def is_registered(registry: Registry, obj: Callable) -> bool:
    """Whether the name of `obj` stands for it there; raises `RegistrationError` if it stands for something else."""
    name = obj.__name__
    if name not in registry:
        return False
    present = registry.get(name)
    if (present.__module__, present.__qualname__) != (obj.__module__, obj.__qualname__):
        raise RegistrationError(
            f"the name {name!r} is taken in the registry by {present.__module__}.{present.__qualname__}: "
            "remove that file from the framework's tree, or import only one of the two"
        )
    return True


def register_architectures(*names: str) -> list[str]:
    """Registers every network factory into the frameworks at hand, or into the named ones of `FRAMEWORKS` only.

    Returns:
        The names of the frameworks that know the networks now.
    """
    done = []
    for name in names or FRAMEWORKS:
        module = FRAMEWORKS[name].load()
        if module is None:
            continue
        registries = [getattr(module, registry) for registry in FRAMEWORKS[name].registries]
        for network in FRAMEWORKS[name].networks:
            for registry in registries[:-1]:
                is_registered(registry, network)  # for its error
            register(registries[-1], network)
        done.append(name)
    return done
