"""Twelve photographs, reduced and compressed as on the web, enlarged: bicubic, the network for clean inputs, that for photographs.

    python docs/weights/sheet.py docs/weights/photographs.jpg

Each is reduced by 2 (bicubic), gets noise of sigma 2 and is saved as JPEG 60; crops of the results are shown pixel by pixel.
"""

import sys

import numpy as np
from PIL import Image, ImageDraw

from aethernet import load_network
from aethernet.data.bicubic import bicubic_upscale
from aethernet.data.embedded import embedded_pictures
from aethernet.data.photo import PhotoDegradation
from aethernet.quality.evaluation import network_upscaler

SCALE, SIDE, GAP, TITLE = 4, 176, 8, 18
CASE = PhotoDegradation(noise=2.0, quality=60)
COLUMNS = ("bicubic", "tiny x4", "tiny x4 photo")
COUNT, ACROSS = 12, 2


def crops() -> list[np.ndarray]:
    """Pieces of the embedded photographs, three of a picture at most, from those of validation on."""
    pieces = []
    side = 2 * (SIDE // SCALE)
    for part in ("val", "train"):
        for photograph in embedded_pictures(part).values():
            height, width = photograph.shape[:2]
            for y, x in ((0.4, 0.4), (0.15, 0.6), (0.65, 0.2)):
                top, left = int(y * (height - side)), int(x * (width - side))
                pieces.append(photograph[top : top + side, left : left + side])
    return sorted(pieces, key=lambda piece: -float(piece.std()))[:COUNT]


def main(path: str) -> None:
    networks = [network_upscaler(load_network(name)) for name in ("aether_tiny_x4", "aether_tiny_x4_photo")]
    group = len(COLUMNS) * (SIDE + 2) + GAP
    sheet = Image.new("RGB", (ACROSS * group, COUNT // ACROSS * (SIDE + GAP) + TITLE), "white")
    draw = ImageDraw.Draw(sheet)
    for number, piece in enumerate(crops()):
        low = CASE(piece, 2, np.random.default_rng(number))
        made = [bicubic_upscale(low, SCALE), *(upscale(low) for upscale in networks)]
        row, column = divmod(number, ACROSS)
        for place, result in enumerate(made):
            left = column * group + place * (SIDE + 2)
            sheet.paste(Image.fromarray(result), (left, TITLE + row * (SIDE + GAP)))
            draw.text((left + 2, 3), COLUMNS[place], "black")
    sheet.save(path, quality=93, subsampling=0)


if __name__ == "__main__":
    main(sys.argv[1])
