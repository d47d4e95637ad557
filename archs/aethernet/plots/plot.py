"""The plots of a comparison: quality against latency, and training curves."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aethernet.arena.records import RunResult
from aethernet.plots.comparison import Comparison, Network, Setting, mean_iterations
from aethernet.plots.labels import FONT_SIZE, Label, place_labels
from aethernet.plots.style import (
    ACCENT,
    INK,
    OWN,
    PSNR_LABEL,
    Style,
    caption,
    dress,
    first_file,
    logarithmic,
    new_figure,
    save,
    styles,
)
from aethernet.tables import short_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAST_AREA, MOST_AREA = 30.0, 420.0  # square points of the smallest and of the largest network's mark
MEAN = "mean over the sets"


def write_plots(comparison: Comparison, out: Path, setting: Setting | None = None) -> list[Path]:
    """Draws every plot that the comparison has data for and returns the files.

    Args:
        out: a file (.png, .svg, .pdf) for the first plot, with the others beside it (`FILE_curves.png`), or a folder
            for all.
        setting: where the times were taken; None draws no times.
    """
    first = first_file(out, comparison.name)
    written = [save(quality_latency(comparison, setting), first)] if setting else []
    if comparison.has_curves:
        written.append(save(training_curves(comparison), first.with_stem(f"{first.stem}_curves")))
    return written


def quality_latency(comparison: Comparison, setting: Setting) -> "Figure":
    """The mean PSNR over all sets against the time of one picture, with a small panel for each set."""
    networks = [network for network in comparison.networks if network.runs and setting in network.speed]
    sets = comparison.sets
    look = styles(comparison.networks)
    columns = -(-len(sets) // 3) if len(sets) > 1 else 0
    figure = new_figure(9.6 + 1.2 * max(0, columns - 1), 6.0)
    grid = figure.add_gridspec(min(3, len(sets)), 1 + columns, width_ratios=[2.6] + [1] * columns)
    main = figure.add_subplot(grid[:, 0])
    areas = _areas(networks)
    panels = [(main, MEAN if columns else sets[0], sets)]
    for number, name in enumerate(sets if columns else []):
        panels.append((figure.add_subplot(grid[number % 3, 1 + number // 3]), name, [name]))
    for axes, title, names in panels:
        size = 1.0 if axes is main else 0.35
        for network in networks:
            _mark(axes, network, setting, names, look[network.name], areas[network.name] * size)
        is_lowest = axes.get_subplotspec().is_last_row() or axes is panels[-1][0]  # type: ignore[union-attr]
        x_label = f"ms per picture ({setting})" if axes is main else "ms per picture" if is_lowest else ""
        dress(axes, title, x_label, PSNR_LABEL if axes is main else "")
        times = [network.speed[setting] for network in networks]
        low, high = _time_limits([ms for time in times for ms in (time.p10_ms, time.p90_ms)])
        logarithmic(axes, low, high, most_ticks=9 if axes is main else 4)
        axes.margins(y=0.12)
    seeds = max(len(network.longest_runs) for network in networks)
    left_out = [network.name for network in comparison.networks if network not in networks]
    lines = [
        f"{OWN}Time: median, bars from the 10th to the 90th percentile. "
        + (f"PSNR: mean of up to {seeds} seeds, bars from lowest to highest. " if seeds > 1 else "")
        + "The area of a mark grows with the parameters.",
        *([f"Left out, for they have no time in this setting or no PSNR: {', '.join(left_out)}."] if left_out else []),
        *comparison.condition_lines,
    ]
    caption(figure, f"Quality against latency, x{comparison.scale}", lines)
    lengths = {mean_iterations(network.longest_runs) for network in networks}
    labels = [_label(network, setting, sets, look, areas, len(lengths) > 1) for network in networks]
    place_labels(main, labels)
    return figure


def training_curves(comparison: Comparison) -> "Figure":
    """Validation PSNR of every network's longest runs, against iterations and against seconds of training."""
    look = styles(comparison.networks)
    figure = new_figure(11.0, 5.2)
    axes_of = dict(zip(("iteration", "seconds"), figure.subplots(1, 2, sharey=True), strict=True))
    networks = [network for network in comparison.networks if any(run.curve for run in network.longest_runs)]
    ends: list[Label] = []
    lines: list[np.ndarray] = []
    for network in networks:
        style = look[network.name]
        x_of, psnr, low, high = _mean_curve([run for run in network.longest_runs if run.curve])
        for name, axes in axes_of.items():
            x = x_of[name]
            axes.fill_between(x, low, high, color=style.color, alpha=0.15, linewidth=0, zorder=style.zorder - 1)
            axes.plot(x, psnr, color=style.color, linestyle=style.line, zorder=style.zorder, label=network.name,
                      marker=style.marker, markersize=5, markevery=[len(x) - 1],
                      linewidth=2.0 if network.is_own else 1.3)  # fmt: skip
        ends.append(Label(x_of["seconds"][-1], psnr[-1], network.name, style.color, bold=network.is_own))
        lines.append(np.stack([x_of["seconds"], psnr], axis=1))
    least, most = _psnr_limits(networks)
    for name, axes in axes_of.items():
        title = "against iterations" if name == "iteration" else "against seconds of training"
        dress(axes, title, name, f"Y-PSNR on {comparison.val}, dB" if name == "iteration" else "")
        axes.set_ylim(least, most)
        if name == "seconds":
            start = min(float(line[(line[:, 1] >= least) & (line[:, 0] > 0), 0].min()) for line in lines)
            longest = max(label.x for label in ends)
            logarithmic(axes, start * 0.9, longest * max(longest / start, 2.0) ** 0.28)
        else:
            axes.set_xlim(0)
            axes.xaxis.set_major_formatter("{x:,.0f}")
            handles = sorted(zip(ends, axes.lines, strict=True), key=lambda item: -item[0].y)
            axes.legend(handles=[line for _, line in handles], loc="upper left", bbox_to_anchor=(1, 1), frameon=False,
                        fontsize=FONT_SIZE, labelcolor="linecolor", handlelength=4, borderaxespad=0)  # fmt: skip
    seeds = max(len(network.longest_runs) for network in networks)
    bands = f"Lines: mean of up to {seeds} seeds; bands: lowest and highest. " if seeds > 1 else ""
    caption(
        figure,
        f"Training, x{comparison.scale}",
        [
            OWN + bands + "Marks: the end of each training. Seconds are those of the training machine.",
            *comparison.condition_lines,
        ],
    )
    place_labels(axes_of["seconds"], ends, [line[line[:, 1] >= least] for line in lines])
    return figure


def _mark(axes: "Axes", network: Network, setting: Setting, sets: Sequence[str], style: Style, area: float) -> None:
    """One network at its median time and mean PSNR, with the ranges of both."""
    latency = network.speed[setting]
    values = [run.mean_psnr(sets) for run in network.longest_runs]
    mean = float(np.mean(values))
    axes.errorbar(
        latency.median_ms, mean,
        xerr=[[latency.median_ms - latency.p10_ms], [latency.p90_ms - latency.median_ms]],
        yerr=[[max(0.0, mean - min(values))], [max(0.0, max(values) - mean)]] if len(values) > 1 else None,
        fmt="none", ecolor=style.color, elinewidth=1, capsize=2, zorder=style.zorder - 0.5,
    )  # fmt: skip
    axes.scatter(latency.median_ms, mean, s=area, color=style.color, marker=style.marker,
                 edgecolors="white", linewidths=0.8, zorder=style.zorder)  # fmt: skip


def _label(
    network: Network,
    setting: Setting,
    sets: Sequence[str],
    look: dict[str, Style],
    areas: dict[str, float],
    with_iterations: bool,
) -> Label:
    facts = [f"{short_count(network.params)} params"] if network.params else []
    runs = network.longest_runs
    if with_iterations and mean_iterations(runs):
        facts.append(f"{mean_iterations(runs):,} it.")
    mean = float(np.mean([run.mean_psnr(sets) for run in runs]))
    text = "\n".join([network.name, ", ".join(facts)]) if facts else network.name
    color = ACCENT if network.is_own else INK
    radius = math.sqrt(areas[network.name] / math.pi)
    return Label(network.speed[setting].median_ms, mean, text, color, radius, network.is_own)


def _areas(networks: Sequence[Network]) -> dict[str, float]:
    """Areas of marks that grow with the logarithm of the parameters: networks differ by a factor of a hundred."""
    counts = {network.name: math.log(network.params or 1) for network in networks}
    low, high = min(counts.values()), max(counts.values())
    span = max(high - low, math.log(10))
    return {name: LEAST_AREA + (MOST_AREA - LEAST_AREA) * (count - low) / span for name, count in counts.items()}


def _mean_curve(runs: Sequence[RunResult]) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    """The x values by name, then mean, lowest and highest PSNR, where the first run was validated."""
    iterations = np.array([point.iteration for point in runs[0].curve], dtype=float)
    psnr, seconds = [], []
    for run in runs:
        own = [point.iteration for point in run.curve]
        psnr.append(np.interp(iterations, own, [point.psnr for point in run.curve]))
        seconds.append(np.interp(iterations, own, [point.seconds for point in run.curve]))
    x = {"iteration": iterations, "seconds": np.mean(seconds, axis=0)}
    return x, np.mean(psnr, axis=0), np.min(psnr, axis=0), np.max(psnr, axis=0)


def _psnr_limits(networks: Sequence[Network]) -> tuple[float, float]:
    """The range worth looking at: the steep rise from nothing at the start would flatten all that differs."""
    curves = [_mean_curve([run for run in network.longest_runs if run.curve])[1] for network in networks]
    top = max(float(curve.max()) for curve in curves)
    low = min(float(np.quantile(curve, 0.25)) for curve in curves)
    margin = 0.06 * max(top - low, 0.1)
    return low - margin, top + 2 * margin


def _time_limits(times: Sequence[float]) -> tuple[float, float]:
    """Room for labels at both sides, in equal parts of the logarithmic axis, which spans at least a factor of two."""
    span = max(max(times) / min(times), 2.0)
    return min(times) / span**0.18, max(times) * span**0.22
