"""Records as Markdown tables and as JSON."""

import dataclasses
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aethernet.bench.fusion import NOTHING, FusionReport
from aethernet.bench.scores import QualityReport, SetScore
from aethernet.bench.speed import SpeedReport
from aethernet.bench.timing import Timing
from aethernet.bench.training import TrainingReport, giga_macs_per_second
from aethernet.bench.verification import VerificationReport
from aethernet.bench.witness import Witness
from aethernet.files import atomic_path

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


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


def quality_markdown(report: QualityReport, *, pictures: bool = True) -> str:
    """Every picture (optional), then the means: a row for each model, a column for each set, `PSNR / SSIM`."""
    parts = [_picture_table(report.scores, name) for name in _sets(report)] if pictures else []
    models = dict.fromkeys((score.model, score.scale) for score in report.scores)
    by_key = {(score.model, score.scale, score.set_name): score for score in report.scores}
    rows = [
        [model, f"x{scale}", *(_quality(by_key[model, scale, name].mean) for name in _sets(report))]
        for model, scale in models
    ]
    parts.append("Y-PSNR in dB / SSIM, mean\n\n" + markdown_table(["model", "scale", *_sets(report)], rows))
    paths = {score.path.partition(":")[0]: score.path for score in report.scores}
    models_of = {key: dict.fromkeys(s.model for s in report.scores if s.path == path) for key, path in paths.items()}
    notes = [f"{path} ({', '.join(models_of[key])})" for key, path in paths.items()]
    return "\n\n".join([*parts, _foot([*notes, *report.notes], [report.witness])])


def speed_markdown(report: SpeedReport) -> str:
    """A row for each model in each engine; the ratio is the time over that of the first row."""
    header = ["model", "engine", "precision", "ms", "p10 - p90", "ratio", "params", "MACs", "activations",
              "peak memory", "receptive radius"]  # fmt: skip
    rows = [
        [
            row.model,
            row.engine,
            row.precision,
            *_times(row.timing),
            short_count(row.complexity.parameters),
            short_count(row.complexity.macs),
            short_count(row.complexity.activations),
            "-" if row.peak_memory is None else f"{row.peak_memory / 1e6:.0f} MB",
            "-" if row.complexity.receptive_radius is None else row.complexity.receptive_radius,
        ]
        for row in report.rows
    ]
    return "\n\n".join([markdown_table(header, rows), _foot(report.notes, [report.witness])])


def fusion_markdown(report: FusionReport) -> str:
    """Forward time of both forms, then training time without each part."""
    forms = []
    for row in report.forms:
        counts = [short_count(row.complexity.parameters), short_count(row.complexity.macs)]
        forms.append([row.variant, row.form, *_times(row.timing), *counts])
    branches = []
    for part in report.branches:
        cost = "-" if part.left_out == NOTHING else f"{1 - part.timing.ratio:+.0%}"
        branches.append([part.variant, part.left_out, *_times(part.timing), cost, short_count(part.parameters)])
    return "\n\n".join(
        [
            "Forward pass",
            markdown_table(["variant", "form", "ms", "p10 - p90", "ratio", "params", "MACs"], forms),
            report.forms_witness.sentence(),
            "Training iteration (forward, loss, backward)",
            markdown_table(["variant", "left out", "ms", "p10 - p90", "ratio", "its cost", "trained params"], branches),
            report.branches_witness.sentence(),
        ]
    )


def training_markdown(report: TrainingReport) -> str:
    """A row for each network; the last column is its time for a multiply-accumulate over that of the first row."""
    header = ["network", "ms", "p10 - p90", "ratio", "trained params", "MACs", "GMAC/s", "per MAC"]
    rows = [
        [
            row.model,
            *_times(row.timing),
            short_count(row.parameters),
            short_count(row.macs),
            f"{giga_macs_per_second(row):.0f}",
            f"{row.per_mac:.2f}",
        ]
        for row in report.rows
    ]
    notes = ["forward, L1 loss, backward; MACs of the forward pass, GMAC/s of all three passes"]
    return "\n\n".join([markdown_table(header, rows), _foot(notes, [report.witness])])


def verification_markdown(report: VerificationReport) -> str:
    """The network itself, then a row for each file."""
    header = ["file", "PSNR (Y)", "SSIM", "drop", "worst picture", "agreement", "int8 convs", "size", "gate"]
    rows: list[list[object]] = [[report.reference, f"{report.psnr:.2f}", f"{report.ssim:.4f}", *["-"] * 6]]
    for row in report.rows:
        integers = "-" if row.integers is None else f"{row.integers} of {row.convolutions}"
        rows.append(
            [
                row.label,
                f"{row.psnr:.2f}",
                f"{row.ssim:.4f}",
                f"{row.drop:+.3f} dB",
                f"{row.worst} ({row.worst_drop:+.2f} dB)",
                "equal" if math.isinf(row.agreement) else f"{row.agreement:.1f} dB",
                integers,
                f"{row.file_bytes / 1e6:.2f} MB",
                "passed" if row.passed else "FAILED",
            ]
        )
    notes = [
        f"{report.pictures} pictures; gate: at most {report.max_drop:g} dB of PSNR less than {report.reference} on the mean",
        "agreement: PSNR between the outputs of the file and of the network, before rounding to 8 bits",
    ]
    notes += [f"{row.label}: {row.x86}" for row in report.rows if row.x86]
    return "\n\n".join([markdown_table(header, rows), _foot(notes, [report.witness])])


def write_json(path: str | Path, kind: str, report: "DataclassInstance") -> None:
    """Writes the records of a report as `{"kind": kind, ...}`, whole or not at all. Infinite figures become null."""
    content = {"kind": kind, **_finite(dataclasses.asdict(report))}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


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


def _picture_table(scores: Sequence[SetScore], set_name: str) -> str:
    columns = [score for score in scores if score.set_name == set_name]
    header = [set_name, *(f"{score.model} x{score.scale}" for score in columns)]
    rows = [
        [records[0].name, *(_quality(record) for record in records)]
        for records in zip(*([*score.pictures, score.mean] for score in columns), strict=True)
    ]
    return markdown_table(header, rows)


def _sets(report: QualityReport) -> list[str]:
    return list(dict.fromkeys(score.set_name for score in report.scores))


def _quality(record) -> str:
    return f"{record.psnr:.2f} / {record.ssim:.4f}"


def _times(timing: Timing) -> list[str]:
    return [f"{timing.median_ms:.2f}", f"{timing.p10_ms:.2f} - {timing.p90_ms:.2f}", f"{timing.ratio:.3f}"]


def _foot(notes: Sequence[str], witnesses: Sequence[Witness]) -> str:
    return "\n".join(f"- {line}" for line in [*notes, *(witness.sentence() for witness in witnesses)])


def _finite(value: object) -> Any:
    """The same content with None for what JSON has no number for."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
