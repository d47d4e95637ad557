"""Registration into the architecture registries of the training frameworks at hand."""

import importlib
import importlib.util
import logging
from collections.abc import Callable
from typing import Protocol

from aethernet.errors import EnvironmentProblem
from aethernet.integrations.basicsr import compat
from aethernet.integrations.peer_arch import aether_peer
from aethernet.variants import FACTORIES

logger = logging.getLogger(__name__)

FRAMEWORKS = {"basicsr": "basicsr.utils.registry"}
"""Framework package -> the module in which its ARCH_REGISTRY stands."""


class Registry(Protocol):
    """What the registries of BasicSR and its descendants have in common."""

    def register(self, obj: Callable) -> object: ...
    def get(self, name: str) -> Callable: ...
    def __contains__(self, name: str) -> bool: ...


def register(registry: Registry, obj: Callable) -> None:
    """Adds `obj` under its own name. The same object again is fine; another one of that name is an error."""
    name = obj.__name__
    if name not in registry:
        registry.register(obj)
        return
    present = registry.get(name)
    if (present.__module__, present.__qualname__) != (obj.__module__, obj.__qualname__):
        raise EnvironmentProblem(
            f"the name {name!r} is taken in the registry by {present.__module__}.{present.__qualname__}: "
            "remove that file from the framework's tree, or import only one of the two"
        )


def register_architectures() -> list[str]:
    """Registers every network factory into every importable framework and returns the frameworks' names."""
    done = []
    for framework, module in FRAMEWORKS.items():
        if importlib.util.find_spec(framework) is None:
            continue
        compat.apply()
        try:
            registry = importlib.import_module(module).ARCH_REGISTRY
        except (ImportError, RuntimeError) as error:
            logger.warning("not registered in %s, which does not import (%s): run `aethernet doctor`", framework, error)
            continue
        for factory in (*FACTORIES, aether_peer):
            register(registry, factory)
        done.append(framework)
    return done
