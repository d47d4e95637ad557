"""Synthetic pictures: a function of their arguments alone, as varied as natural ones, and a data set of them."""

import numpy as np
import pytest
import torch

from aethernet.data import surfaces, synthetic
from aethernet.data.bicubic import bicubic_downsample
from aethernet.data.luma import exact_luma
from aethernet.data.synthetic import synthetic_picture
from aethernet.errors import OptionError, RegistrationError, UsageError
from aethernet.integrations.basicsr import compat
from aethernet.integrations.basicsr.data.datasets import AetherSyntheticDataset, register

TRAIN = {"phase": "train", "scale": 4, "gt_size": 32, "num_images": 6}


def power_slope(pictures):
    """Slope of log power over log frequency, averaged over directions and pictures."""
    size = pictures[0].shape[0]
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size))
    window = np.hanning(size)[:, None] * np.hanning(size)
    grey = [picture.mean(axis=2) for picture in pictures]
    power = sum(np.abs(np.fft.fft2((g - g.mean()) * window)) ** 2 for g in grey)
    rings = np.arange(2, size // 2 - 2) / size
    values = [power[np.abs(frequency - ring) < 0.5 / size].mean() for ring in rings]
    return np.polyfit(np.log(rings), np.log(values), 1)[0]


def test_the_same_arguments_give_the_same_bits_in_any_order():
    first = [synthetic_picture(index, 48, seed=3) for index in range(6)]
    again = [synthetic_picture(index, 48, seed=3) for index in reversed(range(6))][::-1]
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_index_and_seed_each_change_the_picture():
    pictures = {synthetic_picture(index, 32, seed).tobytes() for index in range(20) for seed in range(2)}
    assert len(pictures) == 40


@pytest.mark.parametrize("size", [8, 33, 128])
def test_shape_and_type(size):
    picture = synthetic_picture(1, size)
    assert picture.shape == (size, size, 3)
    assert picture.dtype == np.uint8


def test_spectrum_and_contrast_are_those_of_natural_pictures():
    pictures = [synthetic_picture(index, 128) for index in range(24)]
    assert -3.1 < power_slope(pictures) < -2.0  # photographs: about -2.6
    assert 25 < np.mean([picture.std() for picture in pictures]) < 65  # photographs: about 48
    assert 70 < np.mean(pictures) < 150


def test_a_picture_is_quick_to_draw(monkeypatch):
    """By what is drawn: noise fields are made once, and a picture has tens of leaves, which take 9 ms on one core."""
    leaves, draw = [], synthetic._leaf
    monkeypatch.setattr(synthetic, "_leaf", lambda *arguments: leaves.append(draw(*arguments)))
    for index in range(64):
        synthetic_picture(index, 128)
    assert surfaces._noise_fields.cache_info().misses == 1
    assert 64 < len(leaves) < 64 * 100  # 48 a picture


@pytest.mark.parametrize(("index", "size", "seed"), [(-1, 32, 0), (0, 4, 0), (0, 32, -1)])
def test_arguments_out_of_range(index, size, seed):
    with pytest.raises(UsageError, match="size must be >= 8, the others >= 0"):
        synthetic_picture(index, size, seed)


def test_dataset_items_are_pairs_as_basicsr_expects_them():
    dataset = AetherSyntheticDataset(TRAIN)
    assert len(dataset) == 6
    item = dataset[5]
    assert sorted(item) == ["gt", "gt_path", "lq", "lq_path"]
    assert item["gt"].shape == (3, 32, 32)
    assert item["lq"].shape == (3, 8, 8)
    assert item["gt_path"] == item["lq_path"] == "synthetic/000005"
    gt = synthetic_picture(5, 32)
    for key, picture in (("gt", gt), ("lq", bicubic_downsample(gt, 4))):
        assert item[key].dtype == torch.float32
        assert item[key].is_contiguous()
        torch.testing.assert_close(item[key], torch.from_numpy(picture).permute(2, 0, 1) / 255)


def test_a_grey_network_gets_y():
    item = AetherSyntheticDataset({**TRAIN, "color": "y"})[5]
    gt = synthetic_picture(5, 32)
    for key, picture in (("gt", gt), ("lq", bicubic_downsample(gt, 4))):
        assert item[key].dtype == torch.float32
        torch.testing.assert_close(item[key], torch.from_numpy(exact_luma(picture) / 255)[None].float())


def test_dataset_depends_on_the_index_only_also_with_augmentation():
    options = {**TRAIN, "use_hflip": True, "use_rot": True, "num_images": 24}
    one, other = AetherSyntheticDataset(options), AetherSyntheticDataset(options)
    plain = AetherSyntheticDataset({**TRAIN, "num_images": 24})
    changed = 0
    for index in range(24):
        other[(index + 7) % 24]
        torch.testing.assert_close(one[index]["gt"], other[index]["gt"], rtol=0, atol=0)
        changed += not torch.equal(one[index]["gt"], plain[index]["gt"])
    assert 15 <= changed <= 24  # seven of eight orientations differ from the plain one


def test_validation_pictures_are_not_training_pictures():
    train = AetherSyntheticDataset(TRAIN)
    val = AetherSyntheticDataset({**TRAIN, "phase": "val", "use_hflip": True})
    train_bytes = {train[index]["gt"].numpy().tobytes() for index in range(6)}
    assert not train_bytes & {val[index]["gt"].numpy().tobytes() for index in range(6)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gt_size": 34}, "gt_size 34 is not a multiple of scale 4: take 32 or 36"),
        ({"gt_size": None}, "needs gt_size"),
        ({"gt_size": "big"}, "gt_size must be a whole number of at least 8, not 'big'"),
        ({"num_images": 0}, "num_images must be a whole number of at least 1, not 0"),
        ({"seed": -1}, "seed must be a whole number of at least 0, not -1"),
        ({"scale": None}, "needs scale"),
        ({"phase": "training"}, "phase must be one of train, val, test, not 'training'"),
    ],
)
def test_wrong_options(change, message):
    with pytest.raises(OptionError, match=message):
        AetherSyntheticDataset({**TRAIN, **change})


@pytest.fixture
def dataset_registry(monkeypatch):
    compat.apply()
    registry = pytest.importorskip("basicsr.utils.registry").DATASET_REGISTRY
    monkeypatch.setattr(registry, "_obj_map", dict(registry._obj_map))
    return registry


def test_registration_is_idempotent_and_builds_through_basicsr(dataset_registry):
    register()
    register()
    from basicsr.data import build_dataloader, build_dataset

    options = {"name": "synthetic", "type": "AetherSyntheticDataset", **TRAIN}
    dataset = build_dataset(options)
    assert isinstance(dataset, AetherSyntheticDataset)
    loader = build_dataloader(dataset, {**options, "batch_size_per_gpu": 2, "num_worker_per_gpu": 0}, num_gpu=0)
    assert next(iter(loader))["gt"].shape == (2, 3, 32, 32)


def test_a_foreign_class_of_that_name_is_an_error(dataset_registry):
    dataset_registry._obj_map["AetherSyntheticDataset"] = type("AetherSyntheticDataset", (), {})
    with pytest.raises(RegistrationError, match="'AetherSyntheticDataset' is taken in the registry"):
        register()
