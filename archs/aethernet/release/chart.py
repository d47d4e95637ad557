"""The plot of the report: how much PSNR each quantised or halved file loses on each picture."""

import io

import numpy as np

from aethernet.plots.style import FAINT, INK, dress, new_figure
from aethernet.release.records import Report

MOST_PICTURES = 24
LEAST_SPAN = 0.1
"""dB: less would make a mountain of nothing."""
COLORS = {"float16": "#a3703a", "int8": "#2f7a5a"}
MARKERS = "oDs^vPX"
WIDTH, ROW, AXIS, LEGEND = 5.0, 0.32, 0.6, 0.7
"""Inches: the width, which a phone can show, a picture's row, what the axis takes, and what the legend."""
SPREAD = 0.15
"""Of a row, between two files."""


def drops_svg(report: Report) -> bytes:
    """A row for each picture, the worst first, and a mark for each file in its first runtime; empty without such files.

    Raises:
        EnvironmentProblem: matplotlib is not installed.
    """
    drops = {
        (record.file, record.precision): np.array(record.checks[0].figures.drops)
        for record in report.files
        if record.precision in COLORS and record.checks and record.checks[0].figures
    }
    if not drops:
        return b""
    order = np.argsort(-np.max(list(drops.values()), axis=0))[:MOST_PICTURES]
    rows = np.arange(len(order))
    height = ROW * len(order) + AXIS + LEGEND
    figure = new_figure(WIDTH, height)
    figure.get_layout_engine().set(rect=(0, LEGEND / height, 1, 1 - LEGEND / height))  # type: ignore[union-attr, call-arg]
    axes = figure.add_subplot()
    for number, ((name, precision), marker) in enumerate(zip(drops, MARKERS, strict=False)):
        apart = SPREAD * (number - (len(drops) - 1) / 2)  # figures of one picture are often the same
        axes.plot(
            drops[name, precision][order], rows + apart, marker, color=COLORS[precision], markersize=5,
            markeredgecolor="white", markeredgewidth=0.5, label=name.removeprefix(report.name).strip("_"), clip_on=False,
        )  # fmt: skip
    dress(axes, "", "dB lost (right is worse)")
    axes.axvline(0.0, color=FAINT, linewidth=1)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, -LEAST_SPAN / 10), max(high, LEAST_SPAN / 2))
    axes.set_yticks(rows, [_short(report.pictures[index]) for index in order])
    axes.set_ylim(len(order) - 0.5, -0.5)
    figure.legend(loc="lower center", ncols=2, frameon=False, fontsize=8, labelcolor=INK)
    out = io.BytesIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def _short(title: str) -> str:
    name = title.rpartition("/")[2]
    return name if len(name) <= 24 else f"{name[:23]}…"
