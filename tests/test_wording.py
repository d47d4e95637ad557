"""Counts and their nouns agree."""

import ast
import re
from pathlib import Path

import pytest

import aethernet
from aethernet.wording import how_many

PLURAL = re.compile(r" (?:(?:more|other|such) )?[a-z]+s\b(?<! is)(?<! as)")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0, "picture"), "0 pictures"),
        ((1, "picture"), "1 picture"),
        ((2, "more file"), "2 more files"),
        ((1, "process", "processes"), "1 process"),
        ((3, "process", "processes"), "3 processes"),
        ((12345, "byte"), "12,345 bytes"),
    ],
)
def test_how_many(arguments, text):
    assert how_many(*arguments) == text


def test_a_number_of_things_gets_its_noun_from_one_place():
    """`{len(files)} files` says `1 files` one day."""
    found = []
    for path in Path(aethernet.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for value, text in (
                zip(node.values, node.values[1:], strict=False) if isinstance(node, ast.JoinedStr) else ()
            ):
                counted = isinstance(value, ast.FormattedValue) and ast.unparse(value.value).startswith("len(")
                if counted and isinstance(text, ast.Constant) and PLURAL.match(text.value):
                    found.append(f"{path}:{value.lineno}: {ast.unparse(value.value)}{PLURAL.match(text.value)[0]}")
    assert not found
