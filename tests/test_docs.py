"""What the documents name exists: links, files, commands and their options, make targets, rooms, tests; drawings are current."""

import argparse
import ast
import contextlib
import io
import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from aethernet import cli
from aethernet.data.pictures import read_rgb
from aethernet.plots.panels import LINE

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "archs/aethernet"
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("options/*.md"), *ROOT.glob(".github/**/*.md")]
)
every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())

BLOCK = re.compile(r"^```[^\n]*\n(.*?)^```$|((?:^ {4}[^\n]+\n)+)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")
SPAN = re.compile(r"`([^`\n]+)`")
FILE = re.compile(r"(?:archs|docs|options|tests)/[\w./-]+")
ELSEWHERE = {"options/train_aether_small.toml", "options/qat_aether_small.toml"}
"""Files that a document says to write."""


def text_of(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def without_blocks(document: Path) -> str:
    return BLOCK.sub("", text_of(document))


def anchors(document: Path) -> set[str]:
    """The names that GitHub gives to headings."""
    headings = re.findall(r"^#+ (.+)$", without_blocks(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def command_lines(document: Path) -> Iterator[str]:
    """The lines `aethernet ...` of its blocks; a backslash at the end joins the next one."""
    for block in BLOCK.finditer(text_of(document)):
        for line in (block[1] or block[2]).replace("\\\n", " ").splitlines():
            if re.match(r"\s*aethernet [a-z]", line):
                yield line.strip()


def parser_of(words: list[str]) -> tuple[argparse.ArgumentParser, list[str]]:
    """The parser of the (sub)command that the words begin with, and the words behind it."""
    parser = cli.build_parser()
    while True:
        nested = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        if not nested or not words or not re.fullmatch(r"[a-z]+", words[0]):
            return parser, words
        assert words[0] in nested[0].choices, f"there is no {words[0]!r} among {', '.join(nested[0].choices)}"
        parser, words = nested[0].choices[words[0]], words[1:]


@every_document
def test_links_hold(document):
    for path, anchor in LINK.findall(without_blocks(document)):
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), f"{document.name} links to {path}, which does not exist"
        if anchor:
            assert anchor in anchors(target), f"{document.name} links to #{anchor}, no heading of {target.name}"


@every_document
def test_files_named_in_passing_exist(document):
    for span in SPAN.findall(without_blocks(document)):
        if FILE.fullmatch(span) and span not in ELSEWHERE:
            assert (ROOT / span).exists(), f"{document.name} names {span}, which does not exist"


@every_document
def test_commands_in_blocks_are_understood(document):
    """The parser takes them; names of files and pictures stand for any."""
    for line in command_lines(document):
        complaint = io.StringIO()
        with contextlib.redirect_stderr(complaint):
            try:
                cli.build_parser().parse_args(shlex.split(line, comments=True)[1:])
            except SystemExit:
                pytest.fail(f"{document.name}: {line}\n{complaint.getvalue()}")


@every_document
def test_commands_in_passing_exist(document):
    """And have the options that stand behind them."""
    for span in SPAN.findall(without_blocks(document)):
        if re.match(r"aethernet [a-z]", span):
            parser, rest = parser_of(span.split()[1:])
            for flag in (word for word in rest if word.startswith("-")):
                known = re.search(rf"{flag}(?![\w-])", parser.format_help())
                assert known, f"{document.name}: `{span}`: the command has no {flag}"


@every_document
def test_make_targets_exist(document):
    targets = re.findall(r"^([a-z-]+)(?: [a-z-]+)*:(?!=)", text_of(ROOT / "Makefile"), re.MULTILINE)
    named = re.findall(r"^(?:    )?make ([a-z-]+)", text_of(document), re.MULTILINE)
    for target in [*named, *re.findall(r"`make ([a-z-]+)`", text_of(document))]:
        assert target in targets, f"{document.name} names `make {target}`"


def table(document: Path, heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head."""
    section = text_of(document).split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (.+) \|$", section, re.MULTILINE)
    return [row.split(" | ") for row in rows[1:]]


def first_line(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(text_of(path)))
    assert docstring, path
    return docstring.splitlines()[0]


def test_the_readme_has_every_command():
    named = [name for row in table(ROOT / "README.md", "Commands") for name in re.findall(r"`([^`]+)`", row[0])]
    assert sorted(name.removeprefix("aethernet ") for name in named) == sorted(cli.COMMANDS)


def test_rooms_are_those_of_the_package():
    rooms = {f"`{path.parent.name}/`": first_line(path) for path in PACKAGE.glob("*/__init__.py")}
    modules = {f"`{path.name}`": first_line(path) for path in PACKAGE.glob("*.py") if path.name != "__init__.py"}
    assert dict(table(ROOT / "CONTRIBUTING.md", "Rooms")) == rooms | modules


def test_laws_are_those_of_the_tests():
    laws = dict(table(ROOT / "CONTRIBUTING.md", "Laws"))
    assert len(laws) > 10
    for name, guarded in laws.items():
        (path,) = (ROOT / "tests").rglob(name.strip("`"))
        assert guarded == first_line(path), f"the row should be | {name} | {first_line(path)} |"


def test_option_files_are_described():
    folders = {path.parent.relative_to(ROOT / "options").as_posix() for path in (ROOT / "options").rglob("*.*ml")}
    spans = {span.rstrip("/") for span in SPAN.findall(text_of(ROOT / "options/README.md"))}
    assert folders <= spans, f"options/README.md says nothing of {folders - spans}"


def test_every_document_is_in_the_index():
    linked = {path for path, _ in LINK.findall(text_of(ROOT / "docs/README.md"))}
    assert {path.name for path in ROOT.glob("docs/*.md")} - {"README.md"} <= linked


def test_the_drawing_is_current():
    drawing = runpy.run_path(str(ROOT / "docs/drawing.py"))["drawing"]()
    assert text_of(ROOT / "docs/architecture.svg") == drawing, "run `python docs/drawing.py > docs/architecture.svg`"


def test_the_sample_is_what_the_packaged_weights_make():
    """But for the letters; one level of 255, since float32 sums of other lengths may round to the other side."""
    script = runpy.run_path(str(ROOT / "docs/sample.py"))
    committed, _ = read_rgb(ROOT / "docs/sample.png")
    made = script["sample"]()
    assert committed.shape == made.shape
    difference = committed[LINE:].astype(int) - made[LINE:]
    assert abs(difference).max() <= 1, "run `python docs/sample.py docs/sample.png`"
