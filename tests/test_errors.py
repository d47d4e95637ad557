"""The errors: the tree drawn at the top of their module is that of the classes, and nobody has errors of his own."""

import ast
import inspect
import re
from pathlib import Path

import pytest

from aethernet import errors
from aethernet.errors import AetherError

ARCHS = Path(errors.__file__).parent
CLASSES = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, AetherError)]


def drawn() -> dict[str, str]:
    """The name of each class in the drawing with that of its base, read from the depth at which it stands."""
    bases: dict[str, str] = {}
    above = ["AetherError"]
    for branch, name in re.findall(r"^([│ ]*[├└]── )(\w+)", errors.__doc__ or "", re.MULTILINE):
        depth = len(branch) // 4
        bases[name] = above[depth - 1]
        above[depth:] = [name]
    return bases


def test_the_tree_is_that_of_the_classes():
    """In the order of the file, so that a reader finds what he looks for."""
    assert list(drawn().items()) == [
        (each.__name__, each.__bases__[0].__name__) for each in CLASSES if each is not AetherError
    ]


def test_every_error_of_the_package_stands_in_the_tree():
    """A class of errors elsewhere is one that a user cannot find."""
    names = {each.__name__ for each in CLASSES}
    others = [
        f"{path.name}: {node.name}"
        for path in ARCHS.rglob("*.py")
        if path.name != "errors.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and names & {ast.unparse(base).rpartition(".")[2] for base in node.bases}
    ]
    assert others == []


@pytest.mark.parametrize("error", CLASSES)
def test_an_error_is_one_of_pythons_own_as_well(error):
    """Code that knows nothing of this package catches it as what it is, with the message alone as its text."""
    assert str(error("what was given")) == "what was given"
    assert error is AetherError or issubclass(error, ValueError | RuntimeError | ArithmeticError)
