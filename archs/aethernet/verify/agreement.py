"""How near runs of one network come to it on real pictures: the figures of `aethernet verify` and of a release."""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

import numpy as np

from aethernet.data.bicubic import bicubic_downsample, bicubic_upscale, modcrop
from aethernet.errors import DataError
from aethernet.network.network import AetherNet
from aethernet.progress import Progress
from aethernet.quality.evaluation import as_rgb, from_batch, to_batch
from aethernet.quality.metrics import y_psnr_ssim
from aethernet.quality.sets import PictureFolders
from aethernet.runtimes.session import BatchFunction

Watch = Callable[[str, np.ndarray, list[np.ndarray]], None]
"""Called for each picture with its title, the picture (H, W, 3) uint8, and all outputs as such, the reference's first."""


@dataclass(frozen=True)
class Agreement:
    """One run against the reference; means over pictures unless said.

    `agreement` is the PSNR in dB between both outputs (all channels, [0, 1], before rounding to 8 bits), over all pixels
    of all pictures. `drop` is how much PSNR (Y, against the true pictures) the run loses, `drops` that of each picture,
    `worst` the picture that loses most, and `worst_drop` how much.
    """

    psnr: float
    ssim: float
    drop: float
    agreement: float
    max_error: float
    worst: str
    worst_drop: float
    drops: tuple[float, ...]

    def sentence(self) -> str:
        return (
            f"{self.psnr:.4f} dB, drop {self.drop:.4f} dB, agreement {self.agreement:.1f} dB, max error "
            f"{self.max_error:.1e}, worst {self.worst}"
        )


@dataclass(frozen=True)
class Comparison:
    """The pictures by title, the reference's own means, and each run against it."""

    pictures: tuple[str, ...]
    psnr: float
    ssim: float
    runs: tuple[Agreement, ...]


def compare_with_reference(
    reference: BatchFunction,
    runs: Sequence[BatchFunction],
    pictures: PictureFolders,
    *,
    scale: int,
    in_channels: int,
    clipped: Container[BatchFunction] = (),
    watch: Watch | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Runs everything on pictures that are reduced by MATLAB-like bicubic, whole.

    What a run of `clipped` makes ends at 0, and is compared with the reference's output ended alike. A run that is given twice is computed once. A value that is not a number in any output makes the agreement and the largest error of that run the same.

    Raises:
        DataError: an unusable picture.
    """
    everything = [reference, *runs]
    scores = np.zeros((len(everything), len(pictures), 2))
    squares, largest, count = np.zeros(len(everything)), np.zeros(len(everything)), 0
    titles = []
    for number, (title, picture) in enumerate(pictures):
        hr = modcrop(as_rgb(picture), scale)
        batch = to_batch(bicubic_downsample(hr, scale), in_channels)
        made = {run: run(batch) for run in dict.fromkeys(everything)}
        outputs = [made[run] for run in everything]
        rounded = [from_batch(np.nan_to_num(output)) for output in outputs]
        for index, output in enumerate(outputs):
            target = outputs[0].clip(0, None) if everything[index] in clipped else outputs[0]
            error = output.astype(np.float64) - target
            squares[index] += np.sum(error**2)
            largest[index] = np.maximum(largest[index], np.abs(error).max())  # not max(): that drops a NaN
            try:
                scores[index, number] = y_psnr_ssim(rounded[index], hr, crop_border=scale)
            except DataError as problem:
                raise DataError(f"{title}: {problem}") from problem
        count += outputs[0].size
        titles.append(title)
        if watch is not None:
            watch(title, hr, rounded)
        if progress is not None:
            progress(number + 1, len(pictures), title)
    means = scores.mean(axis=1)
    found = []
    for index in range(1, len(everything)):
        drops = scores[0, :, 0] - scores[index, :, 0]
        worst, mean_square = int(drops.argmax()), squares[index] / count
        found.append(
            Agreement(
                psnr=float(means[index, 0]),
                ssim=float(means[index, 1]),
                drop=float(means[0, 0] - means[index, 0]),
                agreement=float("inf") if mean_square == 0 else float(-10 * np.log10(mean_square)),
                max_error=float(largest[index]),
                worst=titles[worst],
                worst_drop=float(drops[worst]),
                drops=tuple(drops.tolist()),
            )
        )
    return Comparison(tuple(titles), float(means[0, 0]), float(means[0, 1]), tuple(found))


def bicubic_run(network: AetherNet) -> BatchFunction:
    """Bicubic enlargement by the network's scale, of inputs that hold whole 8-bit levels."""
    scale, channels = network.config.scale, network.config.in_channels
    return lambda batch: to_batch(bicubic_upscale(from_batch(batch), scale), channels)
