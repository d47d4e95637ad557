"""Packages of extras: imported where they are used, and named with the command that installs them."""

import importlib
from types import ModuleType

from aethernet.errors import MissingDependencyError


def optional_package(name: str, purpose: str) -> ModuleType:
    """Imports a package of the `bench` extra, or raises `MissingDependencyError` with the command that installs it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(f"{purpose} needs {name}: pip install {name} ({error})") from error
