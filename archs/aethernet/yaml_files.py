"""YAML read strictly: a key that stands twice in a section is an error, where YAML's own reader drops the first."""

from collections.abc import Hashable
from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.nodes import MappingNode, Node, SequenceNode


class StrictLoader(yaml.SafeLoader):
    """PyYAML's safe reader, with the keys of each section looked at."""

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        lines: dict[Hashable, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue  # what `<<` brings may be written over
            key, line = self.construct_object(key_node, deep=True), key_node.start_mark.line + 1
            if not isinstance(key, Hashable):
                continue  # told by what follows
            if key in lines:
                problem = f"{key!r} stands twice in one section, in lines {lines[key]} and {line}: keep one of them"
                raise ConstructorError(None, None, problem, key_node.start_mark)
            lines[key] = line
        return super().construct_mapping(node, deep)


def parse(text: str) -> Any:
    """As `yaml.safe_load`; raises `yaml.YAMLError`, also for a key that stands twice."""
    return yaml.load(text, Loader=StrictLoader)


def lines(text: str) -> dict[tuple[str, ...], int]:
    """The line of every key, counted from 1, by its path from the top; of text that `parse` takes.

    Raises:
        yaml.YAMLError: also for a section that contains itself, by an alias.
    """
    found: dict[tuple[str, ...], int] = {}

    def look(node: Node | None, path: tuple[str, ...], around: tuple[Node, ...]) -> None:
        if any(node is each for each in around):
            raise ConstructorError(None, None, "a section contains itself, by an alias", around[-1].start_mark)
        if isinstance(node, SequenceNode):
            for each in node.value:
                look(each, path, (*around, node))
        if isinstance(node, MappingNode):
            for key, value in node.value:
                here = (*path, str(key.value))
                found.setdefault(here, key.start_mark.line + 1)
                look(value, here, (*around, node))

    look(yaml.compose(text, Loader=StrictLoader), (), ())
    return found
