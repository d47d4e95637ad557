"""The picture of the README: an embedded photograph at a quarter of its size, and enlarged by 4 again in two ways.

    python docs/sample.py docs/sample.png

Needs nothing but this package: the photograph comes with scikit-image (CC0), the weights are `aether_tiny_x4`. One pixel of
the original is one pixel of the picture; the input is shown with pixels of 4x4. The PSNR (Y) is that of the whole photograph.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import aethernet
from aethernet.data.degrade import bicubic_downsample, bicubic_upscale, modcrop
from aethernet.data.embedded import embedded_pictures
from aethernet.data.pictures import write_png
from aethernet.quality.evaluation import network_upscaler
from aethernet.quality.metrics import y_psnr_ssim

SCALE = 4
PHOTOGRAPH, TOP, LEFT = "chelsea", 48, 148
SIDE = 204  # four of them and the gaps are 828 pixels wide, which a page on GitHub shows unscaled
GAP, LINE, FONT_SIZE = 4, 22, 13

network = aethernet.load_network("aether_tiny_x4", stage="fused")
original = modcrop(embedded_pictures("val")[PHOTOGRAPH], SCALE)
small = bicubic_downsample(original, SCALE)
upscaled = network_upscaler(network)(small)
panels = {
    "input, 4x4 pixels": small.repeat(SCALE, axis=0).repeat(SCALE, axis=1),
    "bicubic": bicubic_upscale(small, SCALE),
    "AetherNet tiny": upscaled,
    "original": original,
}
for title in ("bicubic", "AetherNet tiny"):
    psnr, _ = y_psnr_ssim(panels[title], original, crop_border=SCALE)
    panels[f"{title}, {psnr:.2f} dB"] = panels.pop(title)
panels["original"] = panels.pop("original")

canvas = Image.new("RGB", (len(panels) * (SIDE + GAP) - GAP, LINE + SIDE), "white")
draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(FONT_SIZE)
for number, (title, picture) in enumerate(panels.items()):
    left = number * (SIDE + GAP)
    canvas.paste(Image.fromarray(picture[TOP : TOP + SIDE, LEFT : LEFT + SIDE]), (left, LINE))
    draw.text((left + SIDE / 2, LINE / 2), title, fill="black", font=font, anchor="mm")
    print(title)
write_png(Path(sys.argv[1]), np.asarray(canvas))
