"""Marks for tests of what is no part of this package: `needs_basicsr`, `@needs("spandrel")`."""

import importlib.util

import pytest


def missing(*modules: str) -> list[str]:
    return [name for name in modules if importlib.util.find_spec(name) is None]


def needs(*modules: str) -> pytest.MarkDecorator:
    """Skips where one of them is not installed."""
    return pytest.mark.skipif(bool(missing(*modules)), reason=f"not installed: {', '.join(missing(*modules))}")


needs_basicsr = needs("basicsr")
"""`pytestmark = needs_basicsr` skips a file's tests."""
