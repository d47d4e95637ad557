"""The demo's two pictures: the training curve and a comparison of crops."""

import logging
from pathlib import Path

import numpy as np

from aethernet.checkpoint.checkpoint import load_network
from aethernet.data.bicubic import bicubic_downsample, bicubic_upscale
from aethernet.data.pictures import write_png
from aethernet.demo import figures
from aethernet.errors import DataError
from aethernet.plots.panels import ACCENT, INK, Row, magnified, side_by_side
from aethernet.plots.style import new_figure, save
from aethernet.quality.evaluation import network_upscaler

# Where to look in the validation pictures: (picture, top, left) of a crop in high-resolution pixels, on fine detail.
CROPS = (("chelsea", 84, 150), ("rocket", 130, 280), ("coffee", 120, 330))
CROP, MAGNIFIED = 96, 3
SMOOTHING = 9  # points of the loss in one mean
MUTED = "#8a929b"


def training_curve(events: Path, path: Path, *, bicubic: figures.Row, resumed: int) -> Path:
    """Draws loss and validation PSNR over the iterations from a TensorBoard folder; returns `path`."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logging.getLogger("tensorboard").setLevel(logging.WARNING)  # it reports every file that it moves on to
    accumulator = EventAccumulator(str(events)).Reload()
    tags = accumulator.Tags()["scalars"]
    psnr_tag = next((tag for tag in tags if tag.endswith("/psnr")), None)
    if psnr_tag is None or "losses/l_pix" not in tags:
        raise DataError(f"{events} holds no training curve: it has {', '.join(tags) or 'nothing'}")
    figure = new_figure(10, 3.6)
    left, right = figure.subplots(1, 2)

    def points(tag: str) -> tuple[np.ndarray, np.ndarray]:
        steps, values = zip(*sorted({(event.step, event.value) for event in accumulator.Scalars(tag)}), strict=True)
        return np.array(steps), np.array(values)

    steps, losses = points("losses/l_pix")
    left.plot(steps, losses, ".", color=MUTED, markersize=3, label="single batches")
    window = np.ones(min(SMOOTHING, len(losses)))
    smooth = np.convolve(losses, window, "same") / np.convolve(np.ones_like(losses), window, "same")
    left.plot(steps, smooth, color=ACCENT, label=f"mean of {len(window)} of them")
    right.plot(*points(psnr_tag), color=ACCENT, marker="o", markersize=3, label="AetherNet tiny")
    for axes, label in ((left, "L1 loss (training)"), (right, "PSNR, Y, dB (validation)")):
        axes.axvline(resumed, color=MUTED, linestyle=":", label="interrupted and resumed")
        axes.set_title(label, loc="left", color=INK)
        axes.set_xlabel("iteration")
        axes.grid(alpha=0.25)
    right.axhline(bicubic.psnr, color=INK, linestyle="--", linewidth=1, label="bicubic")
    left.set_ylim(0, 1.4 * losses.max())  # room for the legend
    left.legend(loc="upper right", frameon=False)
    right.legend(loc="center right", frameon=False)
    return save(figure, path)


def comparison(weights: Path, held_out: dict[str, np.ndarray], scale: int, path: Path) -> Path:
    """Draws crops of validation pictures: LR, bicubic, AetherNet, HR, enlarged without smoothing; returns `path`."""
    upscale = network_upscaler(load_network(weights))
    rows = []
    for name, top, left in CROPS:
        hr = held_out[name]
        lr = bicubic_downsample(hr, scale)
        columns = (magnified(lr, scale), bicubic_upscale(lr, scale), upscale(lr), hr)
        crops = [magnified(img[top : top + CROP, left : left + CROP], MAGNIFIED) for img in columns]
        rows.append(Row(crops, name))
    write_png(path, side_by_side(("LR", "bicubic", "AetherNet tiny", "HR"), rows))
    return path
