"""The picture of the README: an embedded photograph at a quarter of its size, and enlarged by 4 again in two ways.

    python docs/sample.py docs/sample.png

The photograph comes with scikit-image (CC0), the weights are `aether_tiny_x4`, the letters are Pillow's. One pixel of the
original is one pixel of the picture; the input is shown with pixels of 4x4. The PSNR (Y) is that of the whole photograph.
"""

import sys
from pathlib import Path

import numpy as np

import aethernet
from aethernet.data.bicubic import bicubic_downsample, bicubic_upscale, modcrop
from aethernet.data.embedded import embedded_pictures
from aethernet.data.pictures import write_png
from aethernet.plots.panels import Row, side_by_side
from aethernet.quality.evaluation import network_upscaler
from aethernet.quality.metrics import y_psnr_ssim

SCALE = 4
PHOTOGRAPH, TOP, LEFT = "chelsea", 48, 148
SIDE = 204  # four of them and the gaps are 828 pixels wide, which a page on GitHub shows unscaled
GAP = 4


def panels() -> dict[str, np.ndarray]:
    """The whole photograph in four ways, (H, W, 3) RGB uint8, by title."""
    original = modcrop(embedded_pictures("val")[PHOTOGRAPH], SCALE)
    small = bicubic_downsample(original, SCALE)
    enlarged = {
        "bicubic": bicubic_upscale(small, SCALE),
        "AetherNet tiny": network_upscaler(aethernet.load_network("aether_tiny_x4", stage="fused"))(small),
    }
    return {
        "input, 4x4 pixels": small.repeat(SCALE, axis=0).repeat(SCALE, axis=1),
        **{
            f"{title}, {y_psnr_ssim(picture, original, crop_border=SCALE)[0]:.2f} dB": picture
            for title, picture in enlarged.items()
        },
        "original": original,
    }


def sample() -> np.ndarray:
    """A window of each side by side, (LINE + SIDE, W, 3) RGB uint8; the titles stand in the first LINE rows."""
    pictures = panels()
    windows = [picture[TOP : TOP + SIDE, LEFT : LEFT + SIDE] for picture in pictures.values()]
    return side_by_side(list(pictures), [Row(windows)], gap=GAP, margin=0)


if __name__ == "__main__":
    write_png(Path(sys.argv[1]), sample())
