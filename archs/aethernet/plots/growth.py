"""What longer trainings would buy: the extrapolations of a comparison, and their plot."""

from typing import TYPE_CHECKING

import numpy as np

from aethernet.errors import DataError
from aethernet.plots.comparison import Comparison, mean_iterations
from aethernet.plots.extrapolation import Extrapolation, extrapolate
from aethernet.plots.labels import Label, stack_labels
from aethernet.plots.style import OWN, PSNR_LABEL, caption, dress, end_axis, logarithmic, new_figure, styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEAST_RATIO = 1.25
"""Of two ticks, so that their numbers do not touch."""


def extrapolations(comparison: Comparison, factor: float) -> tuple[dict[str, Extrapolation], dict[str, str]]:
    """For each trained network what `factor` times its longest training would bring, or why that is not known."""
    found, reasons = {}, {}
    for network in (one for one in comparison.networks if any(run.iterations for run in one.runs)):
        ends = [
            (mean_iterations(runs), run.mean_psnr(comparison.sets))
            for runs in network.runs_by_length
            for run in runs
            if run.covers(comparison.sets)
        ]
        try:
            found[network.name] = extrapolate(ends, factor)
        except DataError as error:
            reasons[network.name] = str(error)
    return found, reasons


def growth(comparison: Comparison, extrapolations: dict[str, Extrapolation]) -> "Figure":
    """End points of runs of several lengths, and the law through them as a dashed line to the longer training."""
    look = styles(comparison.networks)
    figure = new_figure(8.6, 5.6)
    axes = figure.subplots()
    labels = []
    for network in (one for one in comparison.networks if one.name in extrapolations):
        style, found = look[network.name], extrapolations[network.name]
        lengths = np.array(found.lengths)
        groups = {mean_iterations(runs): runs for runs in network.runs_by_length}
        by_length = [
            [run.mean_psnr(comparison.sets) for run in groups[n] if run.covers(comparison.sets)] for n in lengths
        ]
        means = np.array([np.mean(values) for values in by_length])
        below = [max(0.0, mean - min(values)) for mean, values in zip(means, by_length, strict=True)]
        above = [max(0.0, max(values) - mean) for mean, values in zip(means, by_length, strict=True)]
        axes.errorbar(lengths, means, [below, above], color=style.color, marker=style.marker, linestyle="none", capsize=2,
                      markersize=6, elinewidth=1, zorder=style.zorder + 1)  # fmt: skip
        x = np.geomspace(lengths[0], found.iterations, 100)
        inside = x <= lengths[-1]
        y = np.asarray(found.law.psnr(x))
        axes.plot(x[inside], y[inside], color=style.color, linewidth=1.2, zorder=style.zorder)
        axes.plot(x[~inside], y[~inside], color=style.color, linewidth=1.4, linestyle=(0, (5, 3)), zorder=style.zorder)
        error = None
        if found.interval is not None:
            error = [[max(0.0, found.expected - found.interval[0])], [max(0.0, found.interval[1] - found.expected)]]
        axes.errorbar([found.iterations], [found.expected], error, color=style.color, marker=style.marker, capsize=3,
                      markerfacecolor="white", markersize=6, elinewidth=1, zorder=style.zorder + 1)  # fmt: skip
        text = f"{network.name}: {found.expected:.2f} ({found.gain:+.2f})"
        labels.append(Label(found.iterations, found.expected, text, style.color, 4, network.is_own))
    factor = max(found.iterations / found.lengths[-1] for found in extrapolations.values())
    dress(axes, f"mean over {', '.join(comparison.sets)}", "iterations", PSNR_LABEL)
    first = min(found.lengths[0] for found in extrapolations.values())
    last = max(found.iterations for found in extrapolations.values())
    logarithmic(axes, first * (first / last) ** 0.05, last * (last / first) ** 0.42)
    axes.set_xticks(_lengths(extrapolations))
    end_axis(axes, last)
    caption(
        figure,
        f"What {factor:g} times the iterations would buy, x{comparison.scale}",
        [
            OWN
            + "Full marks: ends of trainings that were planned for their length; bars: seeds. Dashed: limit - gap * "
            "iterations^-rate, fitted to them. Hollow: extrapolated, not measured; bars: with any one length left out.",
            *comparison.condition_lines,
        ],
    )
    stack_labels(axes, labels)
    return figure


def _lengths(extrapolations: dict[str, Extrapolation]) -> list[int]:
    """Ticks at the lengths of training and at the extrapolated ones, as far as they are apart."""
    everywhere = {length for found in extrapolations.values() for length in (*found.lengths, found.iterations)}
    ticks: list[int] = []
    for length in sorted(everywhere):
        if not ticks or length >= LEAST_RATIO * ticks[-1]:
            ticks.append(length)
    return ticks
