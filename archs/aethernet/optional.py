"""Packages of extras: imported where they are used, and named with the command that installs them."""

import importlib
from types import ModuleType

from aethernet.errors import MissingDependencyError


def optional_package(name: str, purpose: str, package: str = "") -> ModuleType:
    """Imports a module of an extra, or raises `MissingDependencyError` with the command that installs it.

    `package` is what pip knows it by, where that is another name.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(f"{purpose} needs {name}: pip install {package or name} ({error})") from error
