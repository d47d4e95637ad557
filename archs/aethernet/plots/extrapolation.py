"""What a longer training would buy, from the end points of shorter ones.

PSNR against iterations is close to a saturating power law, `psnr = limit - gap * iterations ** -rate`. It holds for end
points of runs that were each planned for their length. It does not hold along one run: a cosine schedule falls to zero
at its own end, so the points on its curve are no end points of shorter runs.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from aethernet.errors import DataError

FACTOR = 10
RATES = np.geomspace(0.02, 3.0, 400)
"""Exponents that are tried. The lowest is nearly a logarithm, which has no limit."""
LEAST_POINTS = 3
"""Different lengths that fix the law's three numbers; each more is a check."""
HUBER = 1.345
"""Residuals beyond this many standard deviations weigh less, by Huber's rule."""


@dataclass(frozen=True)
class SaturatingLaw:
    """PSNR in dB after `iterations`: `limit - gap * iterations ** -rate`."""

    limit: float
    gap: float
    rate: float

    def psnr(self, iterations: np.ndarray | float) -> np.ndarray | float:
        return self.limit - self.gap * np.power(iterations, -self.rate)

    @property
    def is_bounded(self) -> bool:
        """Whether the points bend at all: if not, `limit` is no more than a number of the fit."""
        return self.rate > float(RATES[0])


@dataclass(frozen=True)
class Extrapolation:
    """The law through end points and what it says of a longer training.

    Attributes:
        lengths: the different iterations that were fitted, ascending.
        iterations: the longest one times the factor.
        reached, expected: PSNR in dB of the law at the longest length, and at `iterations`.
        interval: lowest and highest `expected` if any one length is left out; None with three lengths, which fix the
            law and leave nothing to check it with.
        residual: largest distance of a length's mean PSNR from the law, in dB.
    """

    law: SaturatingLaw
    lengths: tuple[int, ...]
    iterations: int
    reached: float
    expected: float
    interval: tuple[float, float] | None
    residual: float

    @property
    def gain(self) -> float:
        return self.expected - self.reached

    def sentence(self) -> str:
        """The finding in one line, with what speaks against it."""
        text = (
            f"{self.iterations / self.lengths[-1]:g} times the iterations ({self.lengths[-1]:,} -> "
            f"{self.iterations:,}) would bring {self.gain:+.2f} dB, to {self.expected:.2f} dB"
        )
        if self.interval is None:
            text += f"; {LEAST_POINTS} lengths fix the law and leave none to check it with"
        else:
            text += f"; {self.interval[0]:.2f} to {self.interval[1]:.2f} dB if any one length is left out"
        if not self.law.is_bounded:
            return f"{text}; the points show no limit yet, so this is a guess upwards"
        return f"{text}; limit of the law {self.law.limit:.2f} dB"


def extrapolate(end_points: Iterable[tuple[int, float]], factor: float = FACTOR) -> Extrapolation:
    """Fits the law to end points and reads it at `factor` times the longest length.

    Args:
        end_points: (iterations, PSNR in dB) at the end of several runs of one network, each planned for its length;
            several seeds of one length are averaged.

    Raises:
        DataError: fewer than three different lengths, or PSNR that does not grow with them.
    """
    by_length: dict[int, list[float]] = {}
    for iterations, psnr in end_points:
        by_length.setdefault(iterations, []).append(psnr)
    lengths = np.array(sorted(by_length))
    if len(lengths) < LEAST_POINTS:
        found = ", ".join(f"{length:,}" for length in lengths) or "none"
        raise DataError(
            f"end points of runs of at least {LEAST_POINTS} different lengths are needed, there are {len(lengths)} "
            f"({found} iterations); points along one run do not count, because its learning rate falls to zero at "
            "its own end: train the network with other iterations too"
        )
    means = np.array([np.mean(by_length[length]) for length in lengths])
    counts = np.array([len(by_length[length]) for length in lengths], dtype=float)
    law = fit_law(lengths, means, counts)
    target = round(lengths[-1] * factor)
    interval = None
    if len(lengths) > LEAST_POINTS:
        kept = (np.arange(len(lengths)) != left_out for left_out in range(len(lengths)))
        others = [float(_fit(lengths[keep], means[keep], counts[keep]).psnr(target)) for keep in kept]
        interval = min(others), max(others)
    return Extrapolation(
        law,
        tuple(lengths.tolist()),
        target,
        reached=float(law.psnr(lengths[-1])),
        expected=float(law.psnr(target)),
        interval=interval,
        residual=float(np.abs(means - law.psnr(lengths)).max()),
    )


def fit_law(iterations: np.ndarray, psnr: np.ndarray, weights: np.ndarray | None = None) -> SaturatingLaw:
    """Least squares over a grid of rates, with Huber's weights against outliers where there are points to spare.

    Raises:
        DataError: PSNR does not grow with the iterations.
    """
    law = _fit(iterations, psnr, np.ones(len(psnr)) if weights is None else weights)
    if law.gap <= 0:
        raise DataError(
            f"PSNR does not grow from {iterations[0]:,} to {iterations[-1]:,} iterations ({psnr[0]:.2f} to "
            f"{psnr[-1]:.2f} dB), so no law of growth can be fitted"
        )
    return law


def _fit(iterations: np.ndarray, psnr: np.ndarray, weights: np.ndarray) -> SaturatingLaw:
    law = _least_squares(iterations, psnr, weights)
    for _ in range(20 if len(psnr) > LEAST_POINTS + 1 else 0):
        distances = np.abs(psnr - law.psnr(iterations))
        scale = max(1.4826 * float(np.median(distances)), 1e-3)  # PSNR is not known any better than 0.001 dB
        robust = np.minimum(1.0, HUBER * scale / np.maximum(distances, 1e-12))
        law = _least_squares(iterations, psnr, weights * robust)
    return law


def _least_squares(iterations: np.ndarray, psnr: np.ndarray, weights: np.ndarray) -> SaturatingLaw:
    """The best of all rates; limit and gap follow from each in closed form."""
    first = float(iterations[0])
    powers = (iterations[None, :] / first) ** -RATES[:, None]  # (rates, points), 1 at the first point
    share = weights / weights.sum()
    power_mean = (powers * share).sum(axis=1, keepdims=True)
    psnr_mean = float((psnr * share).sum())
    centred = powers - power_mean
    slopes = (centred * (psnr - psnr_mean) * share).sum(axis=1) / (centred**2 * share).sum(axis=1)
    errors = ((psnr - psnr_mean - slopes[:, None] * centred) ** 2 * share).sum(axis=1)
    best = int(np.argmin(errors))
    rate = float(RATES[best])
    return SaturatingLaw(
        psnr_mean - float(slopes[best] * power_mean[best, 0]), -float(slopes[best]) * first**rate, rate
    )
