"""Pictures in memory: the same pairs as from disk, patches that belong together, and what cannot be used told early."""

import importlib.util
import random

import cv2
import numpy as np
import pytest
import torch
from helpers.extras import needs_basicsr
from helpers.training import preflight_problems, tiny_options, write_pairs

from aethernet.data.bicubic import bicubic_downsample, modcrop
from aethernet.data.synthetic import synthetic_picture
from aethernet.errors import DataError, OptionError
from aethernet.integrations.basicsr import compat
from aethernet.integrations.basicsr.data import memory_dataset
from aethernet.integrations.basicsr.data.memory_dataset import AetherMemoryDataset, summed_detail

pytestmark = needs_basicsr

if importlib.util.find_spec("basicsr") is not None:
    compat.apply()

FLIPS = {"use_hflip": True, "use_rot": True}


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    write_pairs(tmp_path)
    return tmp_path


def dataset(gt, phase="train", **options) -> AetherMemoryDataset:
    return AetherMemoryDataset({"name": "set", "phase": phase, "scale": 2, "gt_size": 16, "dataroot_gt": gt, **options})


def write(path, img) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), img[:, :, ::-1] if img.ndim == 3 else img)


def as_image(tensor) -> np.ndarray:
    return (tensor.numpy() * 255).round().astype(np.uint8).transpose(1, 2, 0)


# What comes out


@pytest.mark.parametrize("color", [{}, {"color": "y"}], ids=["rgb", "y"])
def test_whole_pictures_are_those_of_basicsr(place, color):
    from basicsr.data.paired_image_dataset import PairedImageDataset

    roots = {"dataroot_gt": str(place / "gt"), "dataroot_lq": str(place / "lq"), **color}
    own = AetherMemoryDataset({"phase": "val", "scale": 2, **roots})
    theirs = PairedImageDataset({"phase": "val", "scale": 2, "io_backend": {"type": "disk"}, **roots})
    other = {theirs[index]["gt_path"]: theirs[index] for index in range(len(theirs))}  # in the order of the disk
    assert len(own) == len(other) == 6
    for index in range(6):
        item = own[index]
        assert item.keys() == other[item["gt_path"]].keys()
        assert item["lq_path"] == item["gt_path"]
        for name in ("gt", "lq"):  # theirs divides in OpenCV: one rounding, which Y sums up over three channels
            torch.testing.assert_close(item[name], other[item["gt_path"]][name], rtol=0, atol=2e-7 if color else 1e-7)


def test_lr_is_made_of_hr_cut_to_multiples(tmp_path):
    picture = synthetic_picture(0, 35)
    write(tmp_path / "hr" / "a.png", picture)
    item = AetherMemoryDataset({"phase": "test", "scale": 3, "dataroot_gt": str(tmp_path / "hr")})[0]
    np.testing.assert_array_equal(as_image(item["gt"]), modcrop(picture, 3))
    np.testing.assert_array_equal(as_image(item["lq"]), bicubic_downsample(modcrop(picture, 3), 3))


@pytest.mark.parametrize("flips", [{}, FLIPS])
def test_both_patches_show_the_same_place(tmp_path, flips):
    """HR made of blocks of 2x2 equal pixels and LR of one pixel a block: a patch of the one is that of the other."""
    coarse = np.random.default_rng(0).integers(0, 256, (3, 24, 31, 3), dtype=np.uint8)
    for index, img in enumerate(coarse):
        write(tmp_path / "lq" / f"{index}.png", img)
        write(tmp_path / "gt" / f"{index}.png", img.repeat(2, axis=0).repeat(2, axis=1))
    pairs = dataset(str(tmp_path / "gt"), dataroot_lq=str(tmp_path / "lq"), **flips)
    for index in [0, 1, 2] * 20:
        item = pairs[index]
        assert item["gt"].shape == (3, 16, 16)
        assert item["lq"].shape == (3, 8, 8)
        assert item["gt"].is_contiguous()
        assert torch.equal(item["lq"].repeat_interleave(2, 1).repeat_interleave(2, 2), item["gt"])


def test_flips_make_eight_views_and_none_without(tmp_path):
    write(tmp_path / "gt" / "a.png", synthetic_picture(0, 16))  # as large as a patch: the place cannot vary
    views = dataset(str(tmp_path / "gt"), **FLIPS)
    assert len({views[0]["gt"].numpy().tobytes() for _ in range(200)}) == 8
    plain = dataset(str(tmp_path / "gt"))
    assert len({plain[0]["gt"].numpy().tobytes() for _ in range(20)}) == 1


def test_patches_reach_every_place(tmp_path):
    picture = np.zeros((20, 20, 3), np.uint8)
    picture[..., 0], picture[..., 1] = np.arange(20)[:, None], np.arange(20)
    write(tmp_path / "gt" / "a.png", picture)
    pairs = dataset(str(tmp_path / "gt"), dataroot_lq=None)
    corners = {tuple(as_image(pairs[0]["gt"])[0, 0, :2].tolist()) for _ in range(200)}
    assert corners == {(y, x) for y in (0, 2, 4) for x in (0, 2, 4)}


def test_pythons_generator_alone_decides(place):
    pairs = dataset(str(place / "gt"), **FLIPS)
    samples = []
    for seed in (0, 1):
        np.random.seed(seed)
        torch.manual_seed(seed)
        random.seed(5)
        samples.append([pairs[index]["gt"] for index in range(6)])
    assert all(torch.equal(one, other) for one, other in zip(*samples, strict=True))
    random.seed(6)
    assert not all(torch.equal(pairs[index]["gt"], samples[0][index]) for index in range(6))


def test_pictures_are_read_only_once(place, monkeypatch):
    pairs = dataset(str(place / "gt"), dataroot_lq=str(place / "lq"))

    def read_again(path):
        raise AssertionError(f"{path} is read again")

    monkeypatch.setattr(memory_dataset, "read_rgb", read_again)
    assert all(pairs[index]["gt"].shape == (3, 16, 16) for index in range(len(pairs)))
    with pytest.raises(AssertionError, match="is read again"):
        dataset(str(place / "gt"))


# Files and folders


def test_several_folders_and_formats(tmp_path):
    picture = synthetic_picture(0, 24)
    for name in ("one/a.png", "one/b.jpg", "two/a.webp", "two/grey.bmp", "two/c.PNG"):
        write(tmp_path / name, picture[:, :, 0] if "grey" in name else picture)
    write(tmp_path / "one" / ".hidden.png", picture)
    write(tmp_path / "one" / "below" / "d.png", picture)
    (tmp_path / "two" / "readme.txt").write_text("no picture")
    pairs = dataset([str(tmp_path / "one"), str(tmp_path / "two")], phase="val")
    paths = [pairs[index]["gt_path"] for index in range(len(pairs))]
    assert paths == [
        str(tmp_path / each) for each in ("one/a.png", "one/b.jpg", "two/a.webp", "two/c.PNG", "two/grey.bmp")
    ]
    grey = pairs[4]["gt"]
    assert grey.shape == (3, 24, 24)
    assert torch.equal(grey[0], grey[2])


def test_small_pictures_are_skipped_and_counted(place, log):
    write(place / "gt" / "small.png", synthetic_picture(0, 12))
    assert len(dataset(str(place / "gt"))) == 6
    assert "set: 1 of 7 pictures skipped, smaller than a patch of 16x16" in log.text
    assert len(dataset(str(place / "gt"), phase="val")) == 7
    with pytest.raises(OptionError, match=r"every picture \(7 in all\) is smaller than gt_size 64"):
        dataset(str(place / "gt"), gt_size=64)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataroot_gt": None}, "needs dataroot_gt"),
        ({"dataroot_gt": []}, r"must be a folder or a list of folders, not \[\]"),
        ({"dataroot_gt": "absent"}, "absent is not a folder .below the current folder"),
        ({"dataroot_gt": "."}, "no picture right inside"),
        ({"dataroot_lq": ["lq", "lq"]}, "dataroot_lq names 2 folders and dataroot_gt 1"),
        ({"dataroot_lq": "lq", "filename_tmpl": "{}x2"}, "has no picture named 00x2 for"),
        ({"gt_size": 15}, "gt_size 15 is not a multiple of scale 2"),
        ({"gt_size": None}, "needs gt_size"),
        ({"crops": 0}, "AetherMemoryDataset: crops must be a whole number of at least 1, not 0"),
        ({"phase": "tran"}, "phase must be one of train, val, test, not 'tran'"),
    ],
)
def test_options_that_cannot_be_used(place, options, message):
    with pytest.raises(OptionError, match=message):
        AetherMemoryDataset({"phase": "train", "scale": 2, "gt_size": 16, "dataroot_gt": "gt", **options})


def test_hr_may_be_larger_by_less_than_the_scale(place):
    write(place / "gt" / "00.png", synthetic_picture(0, 33))
    assert dataset(str(place / "gt"), "val", dataroot_lq=str(place / "lq"))[0]["gt"].shape == (3, 32, 32)


def test_files_that_cannot_be_used(place):
    with pytest.raises(DataError, match=r"lq.00\.png of 16x16 does not belong to .* at scale 4"):
        dataset(str(place / "gt"), scale=4, dataroot_lq=str(place / "lq"))
    write(place / "gt" / "00.png", synthetic_picture(0, 80))
    with pytest.raises(DataError, match=r"lq.00\.png of 16x16 does not belong to .*00\.png of 80x80 at scale 2"):
        dataset(str(place / "gt"), dataroot_lq=str(place / "lq"))
    (place / "gt" / "broken.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"broken\.png: not a picture"):
        dataset(str(place / "gt"), max_damaged=0)


# In BasicSR's pipeline


def memory_options(place, **changes) -> dict:
    opt = tiny_options(place)
    for phase in ("train", "val"):
        section = opt["datasets"][phase]
        del section["io_backend"], section["dataroot_lq"]
        section |= {"type": "AetherMemoryDataset", "dataroot_gt": str(place / "gt")}
    opt["datasets"]["train"] |= changes
    return opt


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ""),
        ({"dataroot_gt": ["gt", "lq"]}, ""),
        ({"dataroot_lq": "lq", "io_backend": {"type": "disk"}}, ""),
        ({"dataroot_gt": "absent"}, "datasets: train: dataroot_gt: absent is not a folder"),
        ({"dataroot_gt": ["gt", "absent"]}, "datasets: train: dataroot_gt: absent is not a folder"),
        ({"dataroot_gt": None}, "datasets: train: dataroot_gt: is missing"),
        ({"gt_size": 15}, "gt_size: 15 is not a multiple of the scale 2"),
        ({"gt_size": 64}, "gt_size: every picture of dataroot_gt (6 in all) is smaller than 64x64"),
        ({"gt_size": None}, "gt_size: is missing"),
        ({"batch_size_per_gpu": 8}, "batch_size_per_gpu: 8 is more than the 6 pictures"),
        ({"gt_siz": 16}, "gt_siz: nobody reads this key for type AetherMemoryDataset"),
    ],
)
def test_the_check_before_training(place, changes, expected):
    opt = memory_options(place, **changes)
    found = preflight_problems(place, opt)
    assert (expected in found) if expected else not found


def test_the_check_counts_usable_pictures_and_compares_pairs(place):
    write(place / "gt" / "small.png", synthetic_picture(0, 12))
    assert "more than the 6 pictures" in preflight_problems(place, memory_options(place, batch_size_per_gpu=7))
    (place / "gt" / "small.png").unlink()
    write(place / "gt" / "00.png", synthetic_picture(0, 40))
    assert "00.png is 16x16 and its HR picture 40x40" in preflight_problems(
        place, memory_options(place, dataroot_lq="lq")
    )


# Which patches


def test_the_most_detailed_of_several_crops_is_taken(tmp_path):
    picture = np.full((40, 200, 3), 128, np.uint8)
    picture[:, 160:] = np.random.default_rng(0).integers(0, 256, (40, 40, 3))  # a fifth of the picture is not flat
    write(tmp_path / "gt" / "a.png", picture)
    random.seed(0)
    shares = []
    for crops in (1, 4):
        patches = dataset(str(tmp_path / "gt"), crops=crops, use_hflip=False)
        shares.append(np.mean([patches[0]["gt"].std().item() > 0 for _ in range(300)]))
    # 20 of the 93 positions of 8 columns meet the last 20 of 100: one crop does with 0.215, one of four with
    # 1 - 0.785**4 = 0.62. 0.1 is four deviations of a share of 300.
    assert shares[0] == pytest.approx(0.215, abs=0.1)
    assert shares[1] == pytest.approx(0.62, abs=0.1)


def test_the_detail_of_a_patch_is_the_sum_of_its_differences():
    lq = synthetic_picture(3, 24)
    total = summed_detail(lq)
    grey = lq.astype(np.float64).mean(axis=2)
    inner = grey[5:13, 9:20]
    expected = np.abs(inner - grey[5:13, 8:19]).sum() + np.abs(inner - grey[4:12, 9:20]).sum()
    assert total[13, 20] - total[5, 20] - total[13, 9] + total[5, 9] == pytest.approx(expected)
