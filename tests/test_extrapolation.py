"""The law of growth: a known one is found again, an outlier does not move it, and too few points are refused."""

import numpy as np
import pytest

from aethernet.errors import DataError
from aethernet.plots.extrapolation import RATES, SaturatingLaw, extrapolate, fit_law

LENGTHS = np.array([500, 1000, 2000, 4000, 8000, 16000])


@pytest.mark.parametrize("law", [SaturatingLaw(31.0, 20.0, 0.5), SaturatingLaw(33.5, 8.0, 0.2)], ids=str)
@pytest.mark.parametrize("points", [3, 6])
def test_a_known_law_is_found_again(law, points):
    """The grid of rates is 1.3 % wide, which moves what lies a factor of 10 outside by less than 0.01 dB."""
    found = extrapolate((int(n), float(law.psnr(n))) for n in LENGTHS[-points:])
    assert found.law.rate == pytest.approx(law.rate, rel=0.02)
    assert found.expected == pytest.approx(law.psnr(160_000), abs=0.01)
    assert found.reached == pytest.approx(law.psnr(16_000), abs=0.01)
    assert found.gain == pytest.approx(law.psnr(160_000) - law.psnr(16_000), abs=0.01)
    assert found.iterations == 160_000
    assert found.residual < 0.01


def test_noise_of_seeds_gives_an_interval_around_the_truth():
    law = SaturatingLaw(31.0, 20.0, 0.5)
    generator = np.random.default_rng(0)
    points = [(int(n), float(law.psnr(n)) + generator.normal(0, 0.01)) for n in LENGTHS for _ in range(3)]
    found = extrapolate(points)
    assert found.interval is not None
    assert found.interval[0] <= found.expected <= found.interval[1]
    assert found.expected == pytest.approx(law.psnr(160_000), abs=0.05)
    assert "if any one length is left out" in found.sentence()


def test_an_outlier_hardly_moves_it():
    law = SaturatingLaw(31.0, 20.0, 0.5)
    lengths = np.array([500, 1000, 2000, 3000, 4000, 6000, 8000, 12000, 16000])
    psnr = law.psnr(lengths)
    psnr[4] -= 0.5
    assert fit_law(lengths, psnr).psnr(160_000) == pytest.approx(law.psnr(160_000), abs=0.03)


def test_three_lengths_say_that_nothing_checks_them():
    found = extrapolate([(1000, 29.0), (2000, 30.0), (4000, 30.5)], factor=4)
    assert found.interval is None
    assert found.iterations == 16_000
    assert "leave none to check it with" in found.sentence()
    assert found.sentence().startswith("4 times the iterations (4,000 -> 16,000) would bring +")


def test_points_without_a_bend_have_no_limit():
    found = extrapolate([(n, float(np.log(n))) for n in (1000, 2000, 4000, 8000)])
    assert found.law.rate == RATES[0]
    assert not found.law.is_bounded
    assert "no limit yet" in found.sentence()


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([], r"at least 3 different lengths are needed, there are 0 \(none iterations\)"),
        ([(1000, 29.0), (2000, 30.0), (2000, 30.1)], r"there are 2 \(1,000, 2,000 iterations\); points along one run"),
        ([(1000, 30.0), (2000, 29.9), (4000, 29.7)], r"does not grow from 1,000 to 4,000 iterations \(30\.00 to 29"),
    ],
)
def test_what_is_refused(points, message):
    with pytest.raises(DataError, match=message):
        extrapolate(points)
