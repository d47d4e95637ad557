"""Pictures side by side under their titles, drawn by Pillow with the letters that it brings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

INK, FAINT, ACCENT, PAPER = "#1b1f24", "#68717b", "#0b62a8", "#ffffff"
FONT_SIZE, SMALL = 14, 12
LINE, CAPTION = 24, 20
"""Pixels of the line of titles, and of a caption's."""


@dataclass(frozen=True)
class Row:
    """Pictures (H, W, 3) RGB uint8, one for each title, and a line above them."""

    pictures: Sequence[np.ndarray]
    caption: str = ""


def side_by_side(titles: Sequence[str], rows: Sequence[Row], *, gap: int = 8, margin: int = 12) -> np.ndarray:
    """Rows of pictures under one line of titles, on white: (H, W, 3) RGB uint8.

    A column is as wide as its widest picture, or its title. Pictures are pasted as they are, pixel by pixel.

    Args:
        gap: pixels between pictures.
        margin: pixels around all.
    """
    font, small = ImageFont.load_default(FONT_SIZE), ImageFont.load_default(SMALL)
    widths = [
        max(round(font.getlength(title)), *(row.pictures[column].shape[1] for row in rows))
        for column, title in enumerate(titles)
    ]
    heights = [max(picture.shape[0] for picture in row.pictures) for row in rows]
    captions = [CAPTION if row.caption else 0 for row in rows]
    width = max(sum(widths) + gap * (len(widths) - 1), *(round(small.getlength(row.caption)) for row in rows))
    height = LINE + sum(heights) + sum(captions) + gap * (len(rows) - 1)
    canvas = Image.new("RGB", (width + 2 * margin, height + 2 * margin), PAPER)
    draw = ImageDraw.Draw(canvas)
    lefts = [margin + sum(widths[:column]) + gap * column for column in range(len(widths))]
    for title, left in zip(titles, lefts, strict=True):
        draw.text((left, margin + LINE / 2), title, fill=INK, font=font, anchor="lm")
    top = margin + LINE
    for row, row_height, caption in zip(rows, heights, captions, strict=True):
        draw.text((margin, top + caption / 2), row.caption, fill=FAINT, font=small, anchor="lm")
        for picture, left in zip(row.pictures, lefts, strict=True):
            canvas.paste(Image.fromarray(picture), (left, top + caption))
        top += caption + row_height + gap
    return np.asarray(canvas)


def fitted(img: np.ndarray, side: int) -> np.ndarray:
    """(H, W, 3) uint8, the longer side at most `side`: smaller by averaging, or larger by a whole number."""
    height, width = img.shape[:2]
    longest = max(height, width)
    if longest <= side:
        return magnified(img, side // longest)
    size = [max(1, round(length * side / longest)) for length in (width, height)]
    return np.asarray(Image.fromarray(img).resize((size[0], size[1]), Image.Resampling.LANCZOS, reducing_gap=3.0))


def magnified(img: np.ndarray, factor: int) -> np.ndarray:
    """Each pixel as `factor` x `factor`."""
    return img.repeat(factor, axis=0).repeat(factor, axis=1)


def framed(img: np.ndarray, top: float, left: float, bottom: float, right: float) -> np.ndarray:
    """A copy with a thin frame around a place, readable on light and dark."""
    canvas = Image.fromarray(img)
    draw = ImageDraw.Draw(canvas)
    box = [round(left), round(top), max(round(left), round(right) - 1), max(round(top), round(bottom) - 1)]
    draw.rectangle(box, outline=PAPER, width=3)
    draw.rectangle([box[0] + 1, box[1] + 1, max(box[0] + 1, box[2] - 1), max(box[1] + 1, box[3] - 1)], outline=ACCENT)
    return np.asarray(canvas)
