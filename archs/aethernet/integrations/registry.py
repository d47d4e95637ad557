"""Registration into the architecture registries of the training frameworks at hand."""

import importlib
import importlib.util
import logging
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Protocol

from aethernet.errors import RegistrationError
from aethernet.integrations.basicsr import compat
from aethernet.integrations.frameworks import FRAMEWORKS, Framework

logger = logging.getLogger(__name__)


class Registry(Protocol):
    """What the registries of BasicSR and its descendants have in common."""

    def register(self, obj: Callable) -> object: ...
    def get(self, name: str) -> Callable: ...
    def __contains__(self, name: str) -> bool: ...


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
    for framework in FRAMEWORKS:
        if (names and framework.package not in names) or (module := _registries(framework)) is None:
            continue
        *others, own = (getattr(module, name) for name in framework.registries)
        for network in importlib.import_module(framework.networks).NETWORKS:
            for registry in others:
                is_registered(registry, network)  # for its error
            register(own, network)
        done.append(framework.package)
    return done


def _registries(framework: Framework) -> ModuleType | None:
    """The module with the registries; None without the framework, or with one that does not import."""
    module = f"{framework.package}.utils.registry"
    if not framework.runs_alone:
        return sys.modules.get(module)
    if importlib.util.find_spec(framework.package) is None:
        return None
    compat.apply()
    try:
        return importlib.import_module(module)
    except (ImportError, RuntimeError) as error:
        logger.warning("not registered in %s, which does not import (%s)%s", framework.package, error, framework.advice)
        return None
