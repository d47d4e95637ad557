"""The accuracy gate: files that come from one network, each against it on real pictures."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from aethernet.bench import Progress
from aethernet.bench.metrics import y_psnr_ssim
from aethernet.bench.models import Subject, resolve_model
from aethernet.bench.onnx_files import CONVOLUTIONS, open_session, optional_package, session_function
from aethernet.bench.quality import as_rgb, from_batch, to_batch
from aethernet.bench.sets import PictureFolder
from aethernet.bench.timing import fixed_threads
from aethernet.bench.witness import Witness, take_witness
from aethernet.data.degrade import bicubic_downsample, modcrop
from aethernet.errors import ConfigError, DataError

INTEGER_CONVOLUTIONS = ("QLinearConv", "ConvInteger")


@dataclass(frozen=True)
class Verified:
    """One file against the network that it comes from; means over pictures unless said.

    `agreement` is the PSNR in dB between both outputs (all channels, [0, 1], before rounding to 8 bits), over all pixels
    of all pictures. `drop` is how much PSNR (Y, against the true pictures) the file loses, `worst` the picture that loses
    most, and `worst_drop` how much. `integers` of `convolutions` run in integers; None for a file that PyTorch runs in
    float anyway.
    """

    label: str
    psnr: float
    ssim: float
    drop: float
    agreement: float
    max_error: float
    worst: str
    worst_drop: float
    integers: int | None
    convolutions: int | None
    file_bytes: int
    passed: bool


@dataclass(frozen=True)
class VerificationReport:
    """All files, and the network they were held against, whose own figures come first."""

    reference: str
    psnr: float
    ssim: float
    pictures: int
    max_drop: float
    rows: list[Verified]
    witness: Witness

    @property
    def passed(self) -> bool:
        return all(row.passed for row in self.rows)


def verify_files(
    files: Sequence[str],
    against: str,
    folders: Sequence[str | Path],
    *,
    max_drop: float = 0.1,
    threads: int | None = None,
    progress: Progress | None = None,
) -> VerificationReport:
    """Runs every file and the network on pictures that are reduced by MATLAB-like bicubic, whole.

    Args:
        files: weights of any stage, or ONNX files, which run in ONNX Runtime on the CPU.
        against: the weights that they were made from, or packaged ones.
        folders: of high-resolution pictures.
        max_drop: the PSNR in dB that a file may lose on the mean of all pictures.

    Raises:
        ConfigError: networks of another scale or number of channels, or random weights. DataError: unusable pictures.
    """
    if not max_drop >= 0:
        raise ConfigError(f"max-drop must be 0 dB or more, not {max_drop}")
    reference, subjects = resolve_model(against), [resolve_model(file) for file in files]
    for subject in (reference, *subjects):
        if not subject.trained:
            raise ConfigError(f"{subject.label} has random weights, so nothing can be held against them: give a file")
        if (subject.scale, subject.in_channels) != (reference.scale, reference.in_channels):
            raise ConfigError(
                f"{subject.label} is x{subject.scale} with {subject.in_channels} channels, {reference.label} is "
                f"x{reference.scale} with {reference.in_channels}: they do not come from one another"
            )
    pictures = [(f"{folder.name}/{name}", folder, name) for folder in map(PictureFolder, folders) for name in folder]
    names = [title for title, _, _ in pictures]
    runs = [_runner(subject, threads) for subject in (reference, *subjects)]
    scores = np.zeros((len(runs), len(pictures), 2))
    squares, largest, count = np.zeros(len(runs)), np.zeros(len(runs)), 0
    with fixed_threads(threads):
        for number, (title, folder, name) in enumerate(pictures):
            hr = modcrop(as_rgb(folder[name]), reference.scale)
            batch = to_batch(bicubic_downsample(hr, reference.scale), reference.in_channels)
            outputs = [run(batch) for run in runs]
            for index, output in enumerate(outputs):
                error = output.astype(np.float64) - outputs[0]
                squares[index] += np.sum(error**2)
                largest[index] = max(largest[index], np.abs(error).max())
                try:
                    scores[index, number] = y_psnr_ssim(from_batch(output), hr, crop_border=reference.scale)
                except DataError as problem:
                    raise DataError(f"{title}: {problem}") from problem
            count += outputs[0].size
            if progress is not None:
                progress(number + 1, len(pictures), title)
        used = torch.get_num_threads()
    means = scores.mean(axis=1)
    rows = []
    for index, subject in enumerate(subjects, start=1):
        drops = scores[0, :, 0] - scores[index, :, 0]
        worst, drop = int(drops.argmax()), float(means[0, 0] - means[index, 0])
        integers, convolutions = integer_convolutions(subject.onnx) if subject.onnx else (None, None)
        mean_square = squares[index] / count
        rows.append(
            Verified(
                label=subject.label,
                psnr=float(means[index, 0]),
                ssim=float(means[index, 1]),
                drop=drop,
                agreement=float("inf") if mean_square == 0 else float(-10 * np.log10(mean_square)),
                max_error=float(largest[index]),
                worst=names[worst],
                worst_drop=float(drops[worst]),
                integers=integers,
                convolutions=convolutions,
                file_bytes=Path(subject.spec).stat().st_size if Path(subject.spec).is_file() else 0,
                passed=bool(drop <= max_drop),  # False for a PSNR that is not a number
            )
        )
    witness = take_witness(threads=used, precision="fp32 reference", size="whole pictures", device="cpu")
    psnr, ssim = map(float, means[0])
    return VerificationReport(reference.label, psnr, ssim, len(pictures), max_drop, rows, witness)


def integer_convolutions(path: Path) -> tuple[int, int]:
    """How many convolutions of a file ONNX Runtime runs in integers, of how many: counted in its optimised graph.

    A convolution that is not quantised in the way a runtime expects falls back to float without a word.
    """
    onnx = optional_package("onnx", "counting the convolutions of an ONNX file")
    with tempfile.TemporaryDirectory() as folder:
        optimized = Path(folder) / "optimized.onnx"
        open_session(path, 1, optimized=optimized)
        kinds = [node.op_type for node in onnx.load(str(optimized)).graph.node]
    integers = sum(kind in INTEGER_CONVOLUTIONS for kind in kinds)
    return integers, sum(kind in CONVOLUTIONS or kind in ("FusedConv", "NhwcFusedConv") for kind in kinds)


def _runner(subject: Subject, threads: int | None):
    """A subject as a function of a float32 batch in [0, 1]."""
    if subject.onnx is not None:
        return session_function(open_session(subject.onnx, threads))
    assert subject.network is not None
    network = subject.network.eval()

    @torch.inference_mode()
    def run(batch: np.ndarray) -> np.ndarray:
        return network(torch.from_numpy(batch)).float().numpy()

    return run
