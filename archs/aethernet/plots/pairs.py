"""A sheet of training pairs: each true picture beside its input, which is enlarged pixel by pixel."""

from collections.abc import Sequence

import numpy as np

from aethernet.plots.panels import Row, magnified, side_by_side

PANEL = 256
"""Pixels of a panel's side: smaller patches are shown with larger pixels."""
COLUMNS = 2
"""Pairs in a row."""
WHITE = 255


def sheet(pairs: Sequence[tuple[str, np.ndarray, np.ndarray]]) -> np.ndarray:
    """Pairs in rows, the true picture on the left of its input: (H, W, 3) RGB uint8.

    Args:
        pairs: a name, the true picture (s H, s W, 3) and its input (H, W, 3), both RGB uint8.
    """
    columns = min(COLUMNS, len(pairs))
    rows = []
    for first in range(0, len(pairs), columns):
        group = pairs[first : first + columns]
        pictures = [picture for _, gt, lq in group for picture in panels(gt, lq)]
        pictures += [np.full_like(pictures[0], WHITE)] * (2 * columns - len(pictures))
        names = [f"{number}  {name}" for number, (name, _, _) in enumerate(group, first + 1)]
        rows.append(Row(pictures, "        ".join(names)))
    return side_by_side(["ground truth", "input, each pixel enlarged"] * columns, rows)


def panels(gt: np.ndarray, lq: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both at the size of the true picture, or a whole multiple of it that fits a panel."""
    factor = max(1, PANEL // max(gt.shape[:2]))
    enlarged = magnified(lq, max(1, gt.shape[0] // lq.shape[0]))
    return magnified(gt, factor), magnified(enlarged, factor)
