"""The plots of the report as SVG that takes its colours from the page, so that they follow its light or dark theme."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from aethernet.release import plan
from aethernet.release.records import FileRecord, Report

WIDTH = 460
LEFT, NAMES, RIGHT, TOP, BOTTOM = 70, 140, 14, 12, 44
LEGEND_LINE, LEGEND_COLUMN, ROW = 19, 214, 20
MOST_PICTURES = 24
LEAST_SPAN = 0.1  # dB: less would make a mountain of nothing
SHAPES = {plan.ONNXRUNTIME: "circle", plan.OPENVINO: "square", plan.PYTORCH: "diamond", plan.AS_WRITTEN: "triangle"}


@dataclass(frozen=True)
class Mark:
    """A point of a plot: its place, its precision (colour), its runtime (shape) and what is said of it."""

    x: float
    y: float
    precision: str
    runtime: str
    title: str


def quality_latency(report: Report) -> str:
    """PSNR against milliseconds of every file that was timed, in its engine; empty if none was."""
    marks = []
    for row in report.speed:
        psnr = _psnr(report, row.file, row.runtime)
        if psnr is not None:
            title = f"{row.file} in {row.runtime}: {row.timing.median_ms:.1f} ms, {psnr:.2f} dB"
            marks.append(Mark(row.timing.median_ms, psnr, row.precision, row.runtime, title))
    if not marks:
        return ""
    low, high = min(mark.y for mark in marks), max(mark.y for mark in marks)
    middle, half = (low + high) / 2, max(high - low, LEAST_SPAN) * 0.65
    size = "x".join(map(str, report.input_size))
    return _chart(
        "Quality against latency",
        marks,
        x=(0.0, 1.08 * max(mark.x for mark in marks)),
        y=(middle - half, middle + half),
        height=300,
        x_label=f"ms for an input of {size}, 1 thread",
        y_label="PSNR (Y), dB",
    )


def picture_drops(report: Report) -> str:
    """How much PSNR each quantised or halved file loses on each picture, the worst pictures first; empty without files."""
    series = [record for record in report.files if record.precision != "float32"]
    checks = [(record, check) for record in series for check in record.checks[:1] if check.figures]
    if not checks:
        return ""
    worst = [max(check.figures.drops[index] for _, check in checks if check.figures)
             for index in range(len(report.pictures))]  # fmt: skip
    order = sorted(range(len(worst)), key=lambda index: -worst[index])[:MOST_PICTURES]
    marks = []
    for record, check in checks:
        assert check.figures is not None
        for row, index in enumerate(order):
            drop = check.figures.drops[index]
            title = f"{report.pictures[index]}, {record.file} in {check.runtime}: {drop:+.3f} dB"
            marks.append(Mark(drop, len(order) - row - 0.5, record.precision, check.runtime, title))
    low, high = min(0.0, *(mark.x for mark in marks)), max(LEAST_SPAN / 2, *(mark.x for mark in marks))
    margin = 0.06 * (high - low)
    return _chart(
        "PSNR lost on each picture",
        marks,
        x=(low - margin, high + margin),
        y=(0.0, float(len(order))),
        height=ROW * len(order) + TOP + BOTTOM,
        x_label="dB lost (right is worse)",
        rows=[_short(report.pictures[index]) for index in order],
    )


def ticks(low: float, high: float, most: int) -> list[float]:
    """At most `most` round numbers between two bounds, evenly spaced."""
    span = high - low
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(factor * power for factor in (1, 2, 5, 10, 20) if span / (factor * power) <= most - 1)
    return [number * step for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _chart(
    title: str,
    marks: Sequence[Mark],
    *,
    x: tuple[float, float],
    y: tuple[float, float],
    height: int,
    x_label: str,
    y_label: str = "",
    rows: Sequence[str] = (),
) -> str:
    """A scatter plot; `rows` name horizontal bands from the top instead of a y axis."""
    left = NAMES if rows else LEFT
    legend = list(_legend(marks))
    bottom = height - BOTTOM

    def place_x(value: float) -> float:
        return left + (value - x[0]) / (x[1] - x[0]) * (WIDTH - left - RIGHT)

    def place_y(value: float) -> float:
        return bottom - (value - y[0]) / (y[1] - y[0]) * (bottom - TOP)

    parts = []
    x_ticks, y_ticks = ticks(*x, 6), [] if rows else ticks(*y, 6)
    for tick, label in zip(x_ticks, _labels(x_ticks), strict=True):
        at = place_x(tick)
        kind = "zero" if abs(tick) < 1e-12 else "grid"
        parts.append(f'<line class="{kind}" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{bottom}"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">{label}</text>')
    for tick, label in zip(y_ticks, _labels(y_ticks), strict=True):
        at = place_y(tick)
        parts.append(f'<line class="grid" x1="{left}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{left - 6}" y="{at + 4:.1f}" text-anchor="end">{label}</text>')
    for number, row in enumerate(rows):
        at = place_y(len(rows) - number - 0.5)
        parts.append(f'<line class="grid" x1="{left}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{left - 6}" y="{at + 4:.1f}" text-anchor="end">{escape(row)}</text>')
    parts.append(f'<text x="{(left + WIDTH - RIGHT) / 2:.0f}" y="{bottom + 34}" text-anchor="middle">{x_label}</text>')
    if y_label:
        middle = (TOP + bottom) / 2
        parts.append(f'<text transform="translate(13 {middle:.0f}) rotate(-90)" text-anchor="middle">{y_label}</text>')
    for mark in marks:
        shape = _shape(mark.runtime, place_x(mark.x), place_y(mark.y))
        parts.append(f'<g class="mark {mark.precision}"><title>{escape(mark.title)}</title>{shape}</g>')
    for number, (precision, runtime) in enumerate(legend):
        at, from_left = height + 8 + LEGEND_LINE * (number // 2), 8 + LEGEND_COLUMN * (number % 2)
        parts.append(f'<g class="mark {precision}">{_shape(runtime, from_left, at)}</g>')
        parts.append(f'<text x="{from_left + 12}" y="{at + 4}">{precision}, {escape(runtime)}</text>')
    total = height + LEGEND_LINE * -(-len(legend) // 2) + 4
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {total}" role="img" aria-label="{escape(title)}: '
        f'the same figures stand in the tables">{"".join(parts)}</svg>'
    )


def _legend(marks: Sequence[Mark]) -> Iterator[tuple[str, str]]:
    yield from dict.fromkeys((mark.precision, mark.runtime) for mark in marks)


def _shape(runtime: str, x: float, y: float) -> str:
    kind = SHAPES.get(runtime, "circle")
    if kind == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5"/>'
    offsets = {
        "square": ((-4.5, -4.5), (4.5, -4.5), (4.5, 4.5), (-4.5, 4.5)),
        "diamond": ((0, -6.5), (6.5, 0), (0, 6.5), (-6.5, 0)),
        "triangle": ((0, -6), (6, 5), (-6, 5)),
    }[kind]
    return f'<polygon points="{" ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in offsets)}"/>'


def _labels(values: Sequence[float]) -> list[str]:
    """Numbers with as many decimals as their step needs."""
    step = min((b - a for a, b in itertools.pairwise(values)), default=1.0)
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return [f"{value:.{decimals}f}" for value in values]


def _short(title: str) -> str:
    name = title.rpartition("/")[2]
    return name if len(name) <= 18 else f"{name[:17]}…"


def _psnr(report: Report, file: str, runtime: str) -> float | None:
    record: FileRecord
    for record in report.files:
        for check in record.checks:
            if record.file == file and check.runtime == runtime and check.figures is not None:
                return check.figures.psnr
    return None
