"""Times as Markdown tables."""

from aethernet.bench.speed import SpeedReport
from aethernet.bench.timing import Timing
from aethernet.tables import footnotes, markdown_table, short_count


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


def _times(timing: Timing) -> list[str]:
    return [f"{timing.median_ms:.2f}", f"{timing.p10_ms:.2f} - {timing.p90_ms:.2f}", f"{timing.ratio:.3f}"]
