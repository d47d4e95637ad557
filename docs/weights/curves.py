"""Draws trainings of `train.py --photo` from their `curve.json`: what was won on photographs, and lost on clean inputs.

python docs/weights/curves.py docs/weights/photo_x2.json docs/weights/photo_x4.json -o docs/weights/photo_curves.png
"""

import argparse
import json
from pathlib import Path

from aethernet.plots.style import ACCENT, INK, MUTED, caption, dress, new_figure, save

KINDS = {"case": ("noise of sigma 3, JPEG 60", ACCENT, "-"), "clean": ("only reduced", MUTED[1], (0, (5, 1.5)))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("curves", nargs="+", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    args = parser.parse_args()
    figure = new_figure(9.6, 3.9)
    panels = figure.subplots(1, len(args.curves), sharey=True, squeeze=False)[0]
    for axes, path in zip(panels, args.curves, strict=True):
        curve = json.loads(path.read_text(encoding="utf-8"))
        iterations = [point["iteration"] for point in curve]
        for key, (name, color, line) in KINDS.items():
            change = [point[key] - curve[0][key] for point in curve]
            axes.plot(iterations, change, color=color, linestyle=line, marker="o", markersize=3.5)
            axes.annotate(f"{name}: {curve[-1][key]:.2f} dB ({change[-1]:+.2f})", (iterations[-1], change[-1]),
                          xytext=(0, -9 if change[-1] > 0 else 9), textcoords="offset points", ha="right",
                          va="top" if change[-1] > 0 else "bottom", fontsize=8.5, color=color)  # fmt: skip
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        dress(axes, path.stem.replace("_", " "), "iteration", "change of the Y-PSNR, dB" if axes is panels[0] else "")
    caption(figure, "Training for photographs", [
        "Y-PSNR of the averaged weights over the network that the training started from; Set5 and every fifth picture of B100.",
    ])  # fmt: skip
    save(figure, args.out)


if __name__ == "__main__":
    main()
