"""What photographs suffer before they are enlarged: the same for the same seed, nothing where nothing is asked for."""

import numpy as np
import pytest
from helpers.networks import picture

from aethernet.data.bicubic import bicubic_downsample
from aethernet.data.photo import BLUR, NOISE, QUALITY, PhotoDegradation, jpeg, random_degradation
from aethernet.data.pictures import write_png
from aethernet.errors import DataError, UsageError
from aethernet.quality.scores import measure_quality


def photograph(height=48, width=40) -> np.ndarray:
    return (picture(1, 3, height, width)[0].permute(1, 2, 0) * 255).byte().numpy()


def test_nothing_is_the_reduction_alone():
    img = photograph()
    made = PhotoDegradation()(img, 2, np.random.default_rng(0))
    assert np.array_equal(made, bicubic_downsample(img, 2))
    assert PhotoDegradation.read("noise=0") == PhotoDegradation() and str(PhotoDegradation()) == "clean"


def test_parts_do_what_they_say():
    img = np.full((96, 96, 3), 120, np.uint8)
    noisy = PhotoDegradation(noise=4.0)(img, 2, np.random.default_rng(0)).astype(float)
    assert abs(noisy.std() - 4.0) < 0.3  # of 6912 samples: 0.03 is one deviation, rounding adds 0.01
    sharp = photograph()
    blurred = PhotoDegradation(blur=1.0)(sharp, 2, np.random.default_rng(0)).astype(float)
    clean = bicubic_downsample(sharp, 2).astype(float)
    assert np.abs(np.diff(blurred, axis=0)).mean() < 0.7 * np.abs(np.diff(clean, axis=0)).mean()
    low = bicubic_downsample(sharp, 2)
    compressed = PhotoDegradation(quality=50)(sharp, 2, np.random.default_rng(0))
    assert np.array_equal(compressed, jpeg(low, 50)) and not np.array_equal(compressed, low)


def test_draws_stay_in_their_ranges():
    drawn = [random_degradation(np.random.default_rng(seed)) for seed in range(500)]
    assert any(each == PhotoDegradation() for each in drawn)
    assert 0 < max(each.blur for each in drawn) <= BLUR and 0 < max(each.noise for each in drawn) <= NOISE
    qualities = [each.quality for each in drawn if each.quality is not None]
    assert QUALITY[0] <= min(qualities) < 45 and 90 < max(qualities) <= QUALITY[1]


@pytest.mark.parametrize(
    "text", ["", "jpg=60", "jpeg=0", "jpeg=50.5", "noise=-1", "noise", "blur=nan", "blur=1 noise=2"]
)
def test_other_texts_are_refused(text):
    with pytest.raises(UsageError, match=r"blur=0\.5,noise=3,jpeg=75"):
        PhotoDegradation.read(text)


@pytest.mark.parametrize("img", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.float32)])
def test_other_arrays_are_refused(img):
    with pytest.raises(DataError, match=r"give \(H, W, 3\), uint8, RGB"):
        PhotoDegradation(noise=1)(img, 2, np.random.default_rng(0))


def test_a_measurement_repeats_and_names_its_inputs(tmp_path):
    for name in ("a", "b"):
        write_png(tmp_path / "set" / f"{name}.png", photograph())
    degradation = PhotoDegradation.read("blur=0.5,noise=3,jpeg=60")
    first, second = (
        measure_quality(["bicubic_rgb"], [tmp_path / "set"], scale=2, degrade=degradation).scores[0] for _ in range(2)
    )
    assert first == second and len(str(first.inputs)) == 64
    clean = measure_quality(["bicubic_rgb"], [tmp_path / "set"], scale=2).scores[0]
    assert clean.mean.psnr > first.mean.psnr and clean.inputs is None
    assert first.pictures[0].psnr != first.pictures[1].psnr  # each picture has noise of its own
    with pytest.raises(UsageError, match="leave out --lr"):
        measure_quality(["bicubic_rgb"], [tmp_path / "set"], scale=2, degrade=degradation, lr=[tmp_path / "set"])
    with pytest.raises(UsageError, match="or give bicubic_rgb"):
        measure_quality(["bicubic"], [tmp_path / "set"], scale=2, degrade=degradation)
