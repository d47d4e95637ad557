"""Samples of video as RGB and back, with the matrix and the range that the stream says.

Between the two nothing is clipped, so that what lies outside of the nominal range (whiter than white, chroma between two
colours) comes out as it went in. Chroma lies where MPEG-2, H.264 and their successors put it unless they say otherwise: at the left
of its two columns, in the middle of its two rows.
"""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["yuv", "rgb", "grey"]

WEIGHTS = {
    1: (0.2126, 0.0722),  # BT.709
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # BT.601, 625 lines
    6: (0.299, 0.114),  # BT.601, 525 lines
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020, non-constant luminance
}
"""Of red and blue in luma, by the number of the matrix in ITU-T H.273, as streams have it."""
FULL = 2
"""The number of the full range, in FFmpeg's numbers; 1 is the range from 16 to 235."""
ROWS = 64
"""Converted at once: they stay in the cache. Even, so that rows of chroma are whole."""


@dataclass(frozen=True)
class Layout:
    """How samples lie: planes of 8 bits, or of up to 16 in little-endian pairs of bytes.

    Attributes:
        halved: whether chroma has half of the columns, and half of the rows.
    """

    kind: Kind
    halved: tuple[bool, bool] = (False, False)
    depth: int = 8

    @property
    def name(self) -> str:
        """FFmpeg's."""
        deep = "" if self.depth == 8 else f"{self.depth}le"
        if self.kind == "grey":
            return f"gray{deep}"
        if self.kind == "rgb":
            return f"gbrp{deep}"
        return f"yuv{ {(True, True): '420', (True, False): '422', (False, True): '440', (False, False): '444'}[self.halved] }p{deep}"

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.uint8 if self.depth == 8 else "<u2")

    @property
    def channels(self) -> int:
        return 1 if self.kind == "grey" else 3

    def plane_shape(self, plane: int, height: int, width: int) -> tuple[int, int]:
        if self.kind != "yuv" or plane == 0:
            return height, width
        return (height + self.halved[1]) >> self.halved[1], (width + self.halved[0]) >> self.halved[0]


SUBSAMPLED = {"420": (True, True), "422": (True, False), "440": (False, True), "444": (False, False)}
NAMES = re.compile(r"(?:yuvj?(420|422|440|444)p|(gbrp)|(gray))(?:(9|10|12|14|16)le)?")


def layout_of(name: str) -> Layout | None:
    """The layout of one of FFmpeg's pixel formats; None for one that is not read as it is."""
    match = NAMES.fullmatch(name)
    if match is None:
        return None
    depth = int(match[4] or 8)
    if match[1]:
        return Layout("yuv", SUBSAMPLED[match[1]], depth)
    return Layout("rgb" if match[2] else "grey", depth=depth)


def to_rgb(planes: Sequence[np.ndarray], layout: Layout, matrix: int, full: bool) -> np.ndarray:
    """Planes of samples -> (3, H, W) RGB, or (1, H, W) grey, float32: 0 is black and 1 is white, not clipped.

    Args:
        planes: Y, Cb, Cr; or G, B, R; or grey.
        matrix: one of `WEIGHTS`.
        full: whether all values are used, or those from 16 to 235 (240) alone.
    """
    height, width = planes[0].shape
    out = np.empty((layout.channels, height, width), np.float32)
    black, white, middle, reach = _levels(layout.depth, full)
    if layout.kind != "yuv":
        if layout.kind == "rgb":
            black, white = 0.0, float(2**layout.depth - 1)
        for channel, plane in zip((1, 2, 0) if layout.kind == "rgb" else (0,), planes, strict=True):
            np.subtract(plane, np.float32(black), out=out[channel], dtype=np.float32)
            out[channel] *= np.float32(1 / (white - black))
        return out
    red, blue = WEIGHTS[matrix]
    green = 1 - red - blue
    chroma = [_enlarged(plane, layout.halved, height, width, middle, reach) for plane in planes[1:]]
    for top in range(0, height, ROWS):
        rows = slice(top, top + ROWS)
        luma = np.subtract(planes[0][rows], np.float32(black), dtype=np.float32)
        luma *= np.float32(1 / (white - black))
        cb, cr = chroma[0][rows], chroma[1][rows]
        np.multiply(cr, np.float32(2 * (1 - red)), out=out[0, rows])
        np.multiply(cb, np.float32(2 * (1 - blue)), out=out[2, rows])
        np.multiply(out[0, rows], np.float32(-red / green), out=out[1, rows])
        out[1, rows] += out[2, rows] * np.float32(-blue / green)
        out[:, rows] += luma
    return out


def from_rgb(
    rgb: np.ndarray,
    layout: Layout,
    matrix: int,
    full: bool,
    *,
    inverse: bool = False,
    pool: ThreadPoolExecutor | None = None,
) -> list[np.ndarray]:
    """(3, H, W) RGB, or (1, H, W) grey, float32 -> planes of samples, rounded half to even and clipped to what the depth holds.

    Grey in a layout of colours has neutral chroma.

    Args:
        inverse: chroma is shrunk by the filter that undoes how `to_rgb` enlarges it, for pictures of the same size; its
            overshoots would show in enlarged ones, which get a plain average.
        pool: threads that share the rows.
    """  # fmt: skip
    _, height, width = rgb.shape
    planes = [
        np.empty(layout.plane_shape(number, height, width), layout.dtype) for number in range(1 if layout.kind == "grey" else 3)
    ]  # fmt: skip
    black, white, middle, reach = _levels(layout.depth, full)
    most = np.float32(2**layout.depth - 1)
    if layout.kind != "yuv":
        scale, offset = (white - black, black) if layout.kind == "grey" else (float(most), 0.0)
        for plane, source in zip(
            planes, rgb[[1, 2, 0]] if layout.kind == "rgb" and len(rgb) == 3 else [rgb[0]] * 3, strict=False
        ):
            _store(source * np.float32(scale), offset, most, plane)
        return planes
    if len(rgb) == 1:
        _store(rgb[0] * np.float32(white - black), black, most, planes[0])
        for plane in planes[1:]:
            plane[:] = round(middle)
        return planes
    red, blue = WEIGHTS[matrix]
    scales = [np.float32(reach / (2 * (1 - weight))) for weight in (blue, red)]

    def convert(rows: slice, differences: list[np.ndarray] | None) -> None:
        part = rgb[:, rows]
        luma = part[0] * np.float32(red)
        luma += part[1] * np.float32(1 - red - blue)
        luma += part[2] * np.float32(blue)
        for number, channel in enumerate((2, 0)):
            difference = part[channel] - luma
            if differences is not None:
                differences[number][rows] = difference
                continue
            step = 2 if layout.halved[1] else 1
            shrunk = _averaged(difference, layout.halved)
            target = planes[1 + number][rows.start // step : rows.start // step + len(shrunk)]
            _store(shrunk * scales[number], middle, most, target)
        luma *= np.float32(white - black)
        _store(luma, black, most, planes[0][rows])

    differences = [np.empty((height, width), np.float32) for _ in range(2)] if inverse and any(layout.halved) else None
    parts = [slice(top, min(top + ROWS, height)) for top in range(0, height, ROWS)]
    list((pool.map if pool else map)(lambda rows: convert(rows, differences), parts))
    for number, difference in enumerate(differences or []):
        _store(_undone(difference, layout.halved) * scales[number], middle, most, planes[1 + number])
    return planes


def _levels(depth: int, full: bool) -> tuple[float, float, float, float]:
    """Black, white, and of chroma the middle and the reach (from -1/2 to 1/2)."""
    if full:
        return 0.0, float(2**depth - 1), float(2 ** (depth - 1)), float(2**depth - 1)
    unit = 2 ** (depth - 8)
    return 16.0 * unit, 235.0 * unit, 128.0 * unit, 224.0 * unit


def _store(values: np.ndarray, offset: float, most: np.float32, target: np.ndarray) -> None:
    values += np.float32(offset)
    np.rint(values, out=values)
    np.clip(values, 0, most, out=values)
    target[:] = values


def _enlarged(
    plane: np.ndarray, halved: tuple[bool, bool], height: int, width: int, middle: float, reach: float
) -> np.ndarray:
    """Chroma in [-1/2, 1/2] for every pixel, linear between its samples."""
    values = np.subtract(plane, np.float32(middle), dtype=np.float32)
    values *= np.float32(1 / reach)
    if halved[1]:
        near, out = values * np.float32(0.75), np.empty((2 * len(values), values.shape[1]), np.float32)
        far = values * np.float32(0.25)
        out[0], out[-1] = values[0], values[-1]
        np.add(near[1:], far[:-1], out=out[2::2])
        np.add(near[:-1], far[1:], out=out[1:-1:2])
        values = out
    if halved[0]:
        out = np.empty((len(values), 2 * values.shape[1]), np.float32)
        out[:, ::2] = values
        out[:, -1] = values[:, -1]
        np.add(values[:, 1:], values[:, :-1], out=out[:, 1:-1:2])
        out[:, 1:-1:2] *= np.float32(0.5)
        values = out
    return values[:height, :width]


def _averaged(values: np.ndarray, halved: tuple[bool, bool]) -> np.ndarray:
    """Two rows (1, 1) / 2, and three columns (1, 2, 1) / 4 around each second one."""
    if halved[1]:
        if len(values) % 2:
            values = np.concatenate([values, values[-1:]])
        values = (values[::2] + values[1::2]) * np.float32(0.5)
    if halved[0]:
        if values.shape[1] % 2:
            values = np.concatenate([values, values[:, -1:]], axis=1)
        even, odd = values[:, ::2], values[:, 1::2]
        out = even * np.float32(2)
        out += odd
        out[:, 1:] += odd[:, :-1]
        out[:, 0] += even[:, 0]
        out *= np.float32(0.25)
        values = out
    return values


def _undone(values: np.ndarray, halved: tuple[bool, bool]) -> np.ndarray:
    """The inverse of `_enlarged`: rows (-1, 3, 3, -1) / 4, columns (-1, 2, 6, 2, -1) / 8, as the 5/3 wavelet of JPEG 2000."""
    if halved[1]:
        padded = np.pad(values, ((1, 2 + len(values) % 2), (0, 0)), mode="edge")
        count = (len(values) + 1) // 2
        rows = [padded[start : start + 2 * count : 2] for start in range(4)]
        values = np.float32(0.75) * (rows[1] + rows[2]) - np.float32(0.25) * (rows[0] + rows[3])
    if halved[0]:
        padded = np.pad(values, ((0, 0), (2, 3)), mode="edge")
        count = (values.shape[1] + 1) // 2
        columns = [padded[:, start : start + 2 * count : 2] for start in range(5)]
        values = np.float32(0.75) * columns[2] + np.float32(0.25) * (columns[1] + columns[3])
        values -= np.float32(0.125) * (columns[0] + columns[4])
    return values
