"""How the plots of the benchmarks look: one accent colour for our networks, muted ones for the others, one caption."""

import itertools
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aethernet.data.pictures import SUFFIXES
from aethernet.errors import MissingDependencyError, OutputError
from aethernet.files import atomic_path
from aethernet.plots.comparison import Network
from aethernet.plots.panels import ACCENT, FAINT, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# They differ in lightness too, and every network has a marker and a line of its own: no colour is needed to read a plot.
MUTED = ("#737d86", "#a3703a", "#55806b", "#93658a", "#3f4952", "#97822f")
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
LINES: tuple[str | tuple, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)))
OWN = "Blue: networks given as aether_... (AetherNet). "
PSNR_LABEL = "Y-PSNR, dB"
FORMATS = (".png", ".svg", ".pdf")
DOTS_PER_INCH = 150
CAPTION_CHARACTERS_PER_INCH = 17.5
CAPTION_LINE = 0.135  # inches


@dataclass(frozen=True)
class Style:
    """What tells a network from the others in every plot."""

    color: str
    marker: str
    line: str | tuple
    zorder: float


def styles(networks: Sequence[Network]) -> dict[str, Style]:
    """A style for each network by name."""
    found: dict[str, Style] = {}
    for is_own, colors, markers in ((True, (ACCENT,), MARKERS), (False, MUTED, MARKERS[1:])):
        looks = zip(itertools.cycle(colors), itertools.cycle(markers), itertools.cycle(LINES), strict=False)
        group = (network for network in networks if network.is_own == is_own)
        for network, (color, marker, line) in zip(group, looks, strict=False):
            found[network.name] = Style(color, marker, line, zorder=4 if is_own else 3)
    return found


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure (inches) of its own: no window, no global state, drawn by Agg."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"plots need matplotlib, and {error.name} is missing: pip install matplotlib"
        ) from error
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def dress(axes: "Axes", title: str, x: str, y: str = "") -> None:
    """Title, axis labels and a quiet grid."""
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.set_xlabel(x, fontsize=9, color=INK)
    axes.set_ylabel(y, fontsize=9, color=INK)
    axes.tick_params(labelsize=8, colors=INK, which="both", length=3)
    axes.grid(color=INK, alpha=0.1, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    for spine in axes.spines.values():
        spine.set_color(FAINT)


def logarithmic(axes: "Axes", low: float, high: float, most_ticks: int = 8) -> None:
    """A logarithmic x axis from `low` to `high` with plain round numbers, also where it spans less than a decade."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(FixedLocator(round_numbers(low, high, most_ticks)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}" if value < 1e5 else f"{value:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())


def round_numbers(low: float, high: float, most: int) -> list[float]:
    """The densest of several series of round numbers that has at most `most` of them between two bounds."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    best: list[float] = []
    for digits in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 5, 7), range(1, 10), np.arange(1, 10, 0.5)):
        found = [digit * 10.0**decade for decade in decades for digit in digits if low <= digit * 10.0**decade <= high]
        best = found if len(found) <= most else best
    return best


def caption(figure: "Figure", title: str, lines: Sequence[str]) -> None:
    """A title at the top left and small lines at the bottom left, wrapped; the plots keep the room between."""
    width, height = figure.get_size_inches()
    figure.suptitle(title, x=0.012, ha="left", fontsize=12.5, fontweight="bold", color=INK)
    wrapped = [part for line in lines for part in textwrap.wrap(line, int(width * CAPTION_CHARACTERS_PER_INCH))]
    room = CAPTION_LINE * (len(wrapped) + 0.8) / height
    figure.get_layout_engine().set(rect=(0.005, room, 0.99, 1 - room))  # type: ignore[union-attr, call-arg]
    figure.text(0.012, 0.4 * CAPTION_LINE / height, "\n".join(wrapped), fontsize=7, color=FAINT, va="bottom",
                linespacing=1.25, in_layout=False)  # fmt: skip


def first_file(out: Path, name: str) -> Path:
    """The file that `out` names, or `name`.png in the folder that it names, such as `results/v1.2`."""
    if out.suffix.lower() in FORMATS:
        return out
    if out.suffix.lower() in SUFFIXES:
        raise OutputError(f"plots are written as {', '.join(FORMATS)}, not as {out.name}")
    return out / f"{name}.png"


def save(figure: "Figure", path: Path) -> Path:
    """Writes a figure as its ending says, whole or not at all; returns `path`."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=DOTS_PER_INCH)
    return path
