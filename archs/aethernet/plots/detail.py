"""Where a picture has most detail: the place at which two ways of enlarging it are told apart."""

import numpy as np

STEP = 8


def most_detailed(img: np.ndarray, height: int, width: int) -> tuple[int, int]:
    """Top and left of the window of (H, W, 3) uint8, no larger than it, whose neighbouring pixels differ most."""
    grey = img.mean(axis=2, dtype=np.float32)
    detail = np.zeros_like(grey)
    detail[:-1] += np.abs(np.diff(grey, axis=0))
    detail[:, :-1] += np.abs(np.diff(grey, axis=1))
    sums = np.pad(detail.cumsum(axis=0, dtype=np.float64).cumsum(axis=1), ((1, 0), (1, 0)))
    tops, lefts = (np.arange(0, own - side + 1, STEP) for own, side in zip(grey.shape, (height, width), strict=True))
    rows, columns = tops[:, None], lefts[None, :]
    windows = (
        sums[rows + height, columns + width]
        - sums[rows, columns + width]
        - sums[rows + height, columns]
        + sums[rows, columns]
    )
    row, column = np.unravel_index(int(windows.argmax()), windows.shape)
    return int(tops[row]), int(lefts[column])
