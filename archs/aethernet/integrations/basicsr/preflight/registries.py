"""What the names in an option file stand for, and whether the arguments beside them fit."""

import importlib
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping

from aethernet.checks import did_you_mean
from aethernet.integrations.basicsr import compat
from aethernet.integrations.registry import register_architectures

REGISTRIES = {
    "network": "ARCH_REGISTRY",
    "model": "MODEL_REGISTRY",
    "data set": "DATASET_REGISTRY",
    "loss": "LOSS_REGISTRY",
    "metric": "METRIC_REGISTRY",
}
FILLED_BY = ("basicsr.archs", "basicsr.data", "basicsr.losses", "basicsr.metrics", "basicsr.models")
"""Importing these registers BasicSR's own classes."""

OWN = ("aethernet.integrations.basicsr.data.datasets", "aethernet.integrations.basicsr.training.models")
"""These register this package's classes by a function `register`; they import BasicSR, so they cannot stand above."""

SUFFIX = "_basicsr"
"""BasicSR tries a name with this suffix if it does not know it without."""


def entries(kind: str) -> dict[str, Callable]:
    """Everything registered of a kind (`network`, `model`, `data set`, `loss`, `metric`), by name."""
    compat.apply()
    register_architectures("basicsr")
    for module in FILLED_BY:
        importlib.import_module(module)
    for module in OWN:
        importlib.import_module(module).register()
    registry = getattr(importlib.import_module("basicsr.utils.registry"), REGISTRIES[kind])
    return dict(iter(registry))


def find(kind: str, name: str) -> Callable | None:
    """What BasicSR would build for a name; None if it would fail."""
    known = entries(kind)
    return known.get(name) or known.get(name + SUFFIX)


def unknown(kind: str, place: str, name: str) -> str:
    """The problem of a name that nobody registered."""
    known = {each.removesuffix(SUFFIX) for each in entries(kind)}
    return f"{place}: type: no {kind} of the name {name!r} is registered; {did_you_mean(name, known)}"


def is_basicsr(target: Callable) -> bool:
    """Whether a class or function is BasicSR's own."""
    return target.__module__.partition(".")[0] == "basicsr"


def argument_problems(
    place: str,
    target: Callable,
    given: Collection[str] | Mapping[str, object],
    *,
    supplied: Collection[str] = (),
    ignored: Collection[str] = ("type",),
    closed: bool = False,
) -> Iterator[str]:
    """Arguments that the target does not take, and arguments that it needs.

    Args:
        place: of the section, for messages.
        target: a class or function.
        given: the section's keys.
        supplied: arguments that BasicSR gives itself.
        ignored: keys that are no arguments.
        closed: an open `**kwargs` of the target is known to swallow what it gets.
    """
    parameters = inspect.signature(target).parameters.values()
    named = {each.name: each for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)}
    allowed = [name for name in named if name not in supplied]
    takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters) and not closed
    for name in given:
        if name not in allowed and name not in ignored and not takes_any:
            yield f"{place}: {name}: {target.__name__} has no such argument; {did_you_mean(name, allowed)}"
    for name in allowed:
        if named[name].default is inspect.Parameter.empty and name not in given:
            yield f"{place}: {name}: is missing; {target.__name__} needs it"
