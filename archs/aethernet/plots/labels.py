"""Names beside points in a plot, placed so that they cover neither each other nor what is drawn."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation

ANGLES = (0, 180, 90, 270, 45, 315, 135, 225, 20, 340, 160, 200)  # degrees, the better ones first
GAPS = (3, 8, 14, 22, 32, 44, 58, 74)  # points between a mark and its label
LEADER_FROM = 12  # points: a label farther away is tied to its mark by a line
ROUNDS = 4  # passes in which every label may move once more
COLUMN_GAP = 22  # points between marks and a column of labels
FONT_SIZE = 8


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
    """Adds the labels to the axes, each on the side of its mark that is free. Scales and limits must be set, and stay.

    Args:
        lines: (n, 2) points in data coordinates of lines that labels should not cover.
    """
    texts, marks, sizes, pixels = _draw(axes, labels)
    bounds = np.array(axes.bbox.extents)
    radii = np.array([label.radius * pixels for label in labels])
    taken = np.concatenate([marks - radii[:, None], marks + radii[:, None]], axis=1)
    dense = np.concatenate([np.zeros((0, 2)), *(_dense(axes.transData.transform(line)) for line in lines)])
    lined = np.concatenate([dense - 2, dense + 2], axis=1)
    choices = [_choices(*item, pixels) for item in zip(marks, radii, sizes, strict=True)]
    chosen: dict[int, int] = {}
    # The most crowded first: they have the least choice.
    order = sorted(range(len(labels)), key=lambda i: float(np.sort(np.hypot(*(marks - marks[i]).T))[:4].sum()))
    for _ in range(ROUNDS):
        for index in order:
            boxes, costs = choices[index]
            others = [choices[other][0][choice] for other, choice in chosen.items() if other != index]
            total = (
                costs
                + 40 * _covered(boxes, taken)
                + 1.0 * _covered(boxes, lined)
                + 200 * _covered(boxes, np.array(others).reshape(-1, 4))
            )
            total += 400 * _outside(boxes, bounds)
            chosen[index] = int(np.argmin(total))
    for index, (text, label) in enumerate(zip(texts, labels, strict=True)):
        box = choices[index][0][chosen[index]]
        centre = (box[:2] + box[2:]) / 2
        text.set_position(tuple((centre - marks[index]) / pixels))
        text.set_multialignment(
            "left" if box[0] > marks[index][0] else "right" if box[2] < marks[index][0] else "center"
        )
        if GAPS[chosen[index] // len(ANGLES)] >= LEADER_FROM:
            _lead(axes, marks[index], np.clip(marks[index], box[:2] + 1, box[2:] - 1), label.color)


def stack_labels(axes: "Axes", labels: Sequence[Label]) -> None:
    """Adds labels for marks that stand above each other: in one column right of them, moved apart where they must."""
    texts, marks, sizes, pixels = _draw(axes, labels)
    height = max(size[1] for size in sizes)
    left = float(marks[:, 0].max()) + COLUMN_GAP * pixels
    order = np.argsort(marks[:, 1])
    wanted = marks[order, 1]
    places = _apart(wanted, height, float(axes.bbox.y0) + height / 2, float(axes.bbox.y1) - height / 2)
    for index, place in zip(order, places, strict=True):
        text, mark = texts[index], marks[index]
        text.set_horizontalalignment("left")
        text.set_position(tuple((np.array([left, place]) - mark) / pixels))
        start = mark + np.array([labels[index].radius + 2, 0]) * pixels
        _lead(axes, start, np.array([left - 2 * pixels, place]), labels[index].color)


def _draw(axes: "Axes", labels: Sequence[Label]) -> tuple[list["Annotation"], np.ndarray, list[np.ndarray], float]:
    """The texts, centred on their marks for now, the marks and the texts' sizes in pixels, and the pixels of a point."""
    from matplotlib.patheffects import withStroke

    figure: Any = axes.figure
    figure.draw_without_rendering()  # settles the layout, which pixels depend on
    texts = [
        axes.annotate(label.text, (label.x, label.y), textcoords="offset points", ha="center", va="center",
                      fontsize=FONT_SIZE, color=label.color, fontweight="bold" if label.bold else "normal",
                      linespacing=1.1, zorder=6, xytext=(0, 0))
        for label in labels
    ]  # fmt: skip
    marks = np.array([axes.transData.transform((label.x, label.y)) for label in labels]).reshape(-1, 2)
    sizes = [np.array([box.width, box.height]) + 2 for box in (text.get_window_extent() for text in texts)]
    halo: list[Any] = [withStroke(linewidth=2.2, foreground="white", alpha=0.85)]  # keeps a text readable on a line
    for text in texts:
        text.set_in_layout(False)
        text.set_path_effects(halo)
    return texts, marks, sizes, figure.dpi / 72


def _lead(axes: "Axes", start: np.ndarray, end: np.ndarray, color: str) -> None:
    """A thin line between two places in pixels."""
    ends = axes.transData.inverted().transform([start, end])
    axes.plot(*ends.T, color=color, linewidth=0.6, alpha=0.7, zorder=2.5, scalex=False, scaley=False)


def _apart(wanted: np.ndarray, height: float, low: float, high: float) -> np.ndarray:
    """Ascending places close to the wanted ones, at least `height` apart, within bounds as far as there is room."""
    places = wanted.astype(float).copy()
    for _ in range(200):
        for i in range(len(places) - 1):
            lack = height - (places[i + 1] - places[i])
            if lack > 0:
                places[i] -= lack / 2
                places[i + 1] += lack / 2
        places = np.clip(places, low, high)
    return places


def _dense(points: np.ndarray, step: float = 4.0) -> np.ndarray:
    """A line's points in pixels with more between them, so that none is farther than `step` from the next."""
    distances = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    at = np.arange(0.0, distances[-1] + step, step)
    return np.stack([np.interp(at, distances, points[:, axis]) for axis in (0, 1)], axis=1)


def _choices(mark: np.ndarray, radius: float, size: np.ndarray, pixels: float) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (n, 4) around a mark, in pixels, and how much each is disliked for its place alone."""
    boxes, costs = [], []
    for gap in GAPS:
        for rank, angle in enumerate(ANGLES):
            direction = np.array([math.cos(math.radians(angle)), math.sin(math.radians(angle))])
            centre = mark + direction * (radius + gap * pixels + size / 2)
            boxes.append([*(centre - size / 2), *(centre + size / 2)])
            costs.append(0.7 * gap + 0.4 * rank)
    return np.array(boxes), np.array(costs)


def _covered(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """For each of n boxes, how many of the others it touches, each counting 0.5 to 1.5 by the part that it covers."""
    if not len(others):
        return np.zeros(len(boxes))
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1)
    return np.where(common > 0, 0.5 + common / areas, 0.0).sum(axis=1)


def _outside(boxes: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """The part of each box's sides that lies outside."""
    beyond = np.clip(bounds[:2] - boxes[:, :2], 0, None) + np.clip(boxes[:, 2:] - bounds[2:], 0, None)
    return (beyond / (boxes[:, 2:] - boxes[:, :2])).sum(axis=1)
