"""Records as Markdown tables and as JSON."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from aethernet.conditions import Conditions
from aethernet.files import write_bytes


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table with padded columns: the first one to the left, the others to the right."""
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in (header, *rows)]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(header))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = []
    for first, *others in (cells[0], rule, *cells[1:]):
        padded = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append(f"| {' | '.join([first.ljust(widths[0]), *padded])} |")
    return "\n".join(lines)


def short_count(count: int | None) -> str:
    """A count with three digits and a unit: 115 k, 46.2 M, 1.20 G; `-` for None."""
    if count is None:
        return "-"
    value, units = float(count), ["", " k", " M", " G", " T"]
    while value >= 999.5 and len(units) > 1:
        value, units = value / 1000, units[1:]
    if not units[0]:
        return str(count)
    return f"{value:.{max(0, 2 - int(math.log10(value)))}f}{units[0]}"


def signed(value: float, decimals: int) -> str:
    """With its sign; what rounds to zero is +0."""
    return f"{round(value, decimals) + 0.0:+.{decimals}f}"


def agreement(decibel: float) -> str:
    """The PSNR between two outputs: dB, or `equal`."""
    return "equal" if decibel == math.inf else f"{decibel:.1f} dB"


def megabytes(size: int) -> str:
    return f"{size / 1e6:.2f} MB"


def footnotes(notes: Sequence[str], conditions: Sequence[Conditions]) -> str:
    """Notes and conditions as a list."""
    return "\n".join(f"- {line}" for line in [*notes, *(each.sentence() for each in conditions)])


def write_json(path: str | Path, kind: str, report: object) -> None:
    """Writes `json_bytes`, whole or not at all."""
    write_bytes(path, json_bytes(kind, report))


def json_bytes(kind: str, report: object) -> bytes:
    """The records of a report as `{"kind": kind, ...}`. Infinite figures become null."""
    return msgspec.json.format(msgspec.json.encode({"kind": kind, **msgspec.to_builtins(report)}), indent=1) + b"\n"
