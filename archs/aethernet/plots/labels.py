"""Names beside the marks of a plot, placed by adjustText so that they cover neither each other nor what is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from aethernet.optional import optional_package
from aethernet.plots.panels import FAINT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FONT_SIZE = 8
CLEARANCE = 2  # points around a mark
STEPS = 300  # a number of steps, and not the seconds that are adjustText's default: the plot is the same on any machine
LEADER = {"arrowstyle": "-", "color": FAINT, "linewidth": 0.6, "zorder": 2.5}


@dataclass(frozen=True)
class Label:
    """A text for the mark at (x, y) in data coordinates, whose radius is in points."""

    x: float
    y: float
    text: str
    color: str
    radius: float = 3.0
    bold: bool = False


def place_labels(axes: "Axes", labels: Sequence[Label], lines: Sequence[np.ndarray] = ()) -> None:
    """Adds the labels to the axes, each near its mark and tied to it by a line. Scales and limits must be set, and stay.

    Args:
        lines: (n, 2) points in data coordinates of lines that labels should not cover.
    """
    adjust = optional_package("adjustText", "a plot with labels")
    from matplotlib.patheffects import withStroke

    figure: Any = axes.figure
    figure.draw_without_rendering()  # settles the layout, which pixels depend on
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1) * figure.dpi / 72
    rims = [axes.transData.transform((one.x, one.y)) + (one.radius + CLEARANCE) * circle for one in labels]
    taken = np.concatenate([axes.transData.inverted().transform(np.concatenate(rims)), *lines])
    halo: list[Any] = [withStroke(linewidth=2.2, foreground="white", alpha=0.85)]  # keeps a text readable on a line
    texts = [
        axes.text(one.x, one.y, one.text, fontsize=FONT_SIZE, color=one.color, ha="center", va="center", linespacing=1.1,
                  fontweight="bold" if one.bold else "normal", zorder=6, in_layout=False, path_effects=halo)
        for one in labels
    ]  # fmt: skip
    adjust.adjust_text(texts, x=taken[:, 0], y=taken[:, 1], ax=axes, iter_lim=STEPS, arrowprops=LEADER)
