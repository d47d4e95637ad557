"""Times as Markdown tables."""

from typing import TYPE_CHECKING

from aethernet.bench.fusion import NOTHING, FusionReport
from aethernet.bench.speed import SpeedReport
from aethernet.bench.timing import Timing
from aethernet.bench.training import TrainingReport, giga_macs_per_second
from aethernet.tables import footnotes, markdown_table, short_count

if TYPE_CHECKING:
    pass


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
    return "\n\n".join([markdown_table(header, rows), footnotes(report.notes, [report.conditions])])


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
            report.forms_conditions.sentence(),
            "Training iteration (forward, loss, backward)",
            markdown_table(["variant", "left out", "ms", "p10 - p90", "ratio", "its cost", "trained params"], branches),
            report.branches_conditions.sentence(),
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
    return "\n\n".join([markdown_table(header, rows), footnotes(notes, [report.conditions])])


def _times(timing: Timing) -> list[str]:
    return [f"{timing.median_ms:.2f}", f"{timing.p10_ms:.2f} - {timing.p90_ms:.2f}", f"{timing.ratio:.3f}"]
