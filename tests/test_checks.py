"""What counts as a number, a choice and a near name, everywhere; and that no command takes an empty text for a path."""

import argparse
import re
from collections.abc import Iterator

import pytest

from aethernet.checks import did_you_mean, is_number, is_one_of, is_whole, near, one_of, whole_number
from aethernet.cli import build_parser
from aethernet.errors import ConfigError, OptionError
from aethernet.integrations.basicsr.pipeline.log import reached_iterations


@pytest.mark.parametrize(
    ("value", "whole", "number"),
    [(1, True, True), (0, False, True), (1.0, False, True), (True, False, False), ("1", False, False), (None,) * 3],
)
def test_true_and_text_are_no_numbers(value, whole, number):
    assert (is_whole(value, 1), is_number(value)) == (bool(whole), bool(number))


def test_whole_number_returns_it_or_says_what_is_allowed():
    assert whole_number("width", 4, 1, ConfigError) == 4
    assert is_whole(-5)
    with pytest.raises(OptionError, match=r"^seeds: must be a whole number of at least 0, not -1$"):
        whole_number("seeds:", -1, 0, OptionError)


@pytest.mark.parametrize("value", [4.0, True, "4", None, [1]])
def test_a_choice_is_of_the_type_of_those_allowed(value):
    assert is_one_of(1, (1, 3)) and is_one_of(None, (None, "bf16"))
    assert not is_one_of(value, (1, 4))
    with pytest.raises(ConfigError, match=rf"^scale must be one of 1, 4, not {re.escape(repr(value))}$"):
        one_of("scale", value, (1, 4), ConfigError)


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from parsers(each)


def test_an_empty_text_is_no_path_to_any_command():
    """`Path("")` is the current folder, and `""` what a shell makes of a variable that is not set."""
    for parser in parsers(build_parser()):
        for action in parser._actions:
            named = str(action.metavar).replace("TEXT|FILE", "")
            if re.search("FILE|DIR|OUT|INPUT|MODEL|WEIGHTS|TREE", named):
                with pytest.raises(argparse.ArgumentError, match="it is empty"):
                    parser._get_value(action, "")


def test_near_names():
    known = ("batch_size", "AetherModel", "gt_size")
    assert near("aethermodle", known) == ["AetherModel"]
    assert near("nothing", known) == []
    assert did_you_mean("Gt_Size", known) == "did you mean 'gt_size'?"
    assert did_you_mean("batch", known) == "did you mean 'batch_size'?"
    assert did_you_mean("nothing", {"b", "a"}) == "known: a, b"
    assert did_you_mean("nothing", ("b", "a")) == "known: b, a"
    assert did_you_mean("nothing", ()) == "known: none"


def test_iterations_in_a_log_of_basicsr():
    line = "2026-11-24 00:01:00,000 INFO: [tiny..][epoch:  0, iter:{}, lr:(1.000e-03,)] [eta: 0:00:01] l_pix: 1.9e-02\n"
    other = "2026-11-24 00:00:00,000 INFO: Start training from epoch: 0, iter: 7\n"
    assert reached_iterations(other + line.format("       6") + line.format("  12,000")) == [6, 12_000]
