"""`aethernet data preview`: the sheet shows what the training gets, and what keeps it from it is told before anything is written."""

import cv2
import numpy as np
import pytest
from helpers.extras import needs_basicsr
from helpers.training import tiny_options, write_options, write_pairs

from aethernet import cli
from aethernet.data.pictures import read_rgb
from aethernet.errors import OptionError
from aethernet.plots.pairs import PANEL, panels, sheet
from aethernet.training.recipes import render


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """With the folders and the list that rendered option files name, of small pictures."""
    write_pairs(tmp_path, count=3, size=96)
    data = tmp_path / "datasets/DIV2K"
    data.mkdir(parents=True)
    (tmp_path / "gt").rename(data / "HR_sub")
    (data / "meta_info_HR_sub.txt").write_text("00.png\n01.png\n02.png\n")
    (data / "LR_bicubic_sub").mkdir()
    (tmp_path / "lq").rename(data / "LR_bicubic_sub/X2")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder, *arguments, **options):
    path = folder / "my.yml"
    path.write_text(render(*arguments, **options))
    return path


def test_a_panel_is_the_picture_or_a_whole_multiple_of_it():
    gt, lq = (np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8) for side in (96, 32))
    whole, enlarged = panels(gt, lq)
    assert whole.shape == enlarged.shape == (192, 192, 3) and whole.shape[0] <= PANEL
    assert np.array_equal(whole[::2, ::2], gt) and np.array_equal(enlarged[::6, ::6], lq)
    assert np.array_equal(enlarged[5::6, 5::6], lq)
    large = np.zeros((300, 300, 3), np.uint8)
    assert panels(large, np.zeros((75, 75, 3), np.uint8))[1].shape == large.shape


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_sheet_holds_every_pair(count):
    pairs = [(f"{number}.png", np.full((PANEL, PANEL, 3), 2 * number, np.uint8), np.full((64, 64, 3), 2 * number + 1, np.uint8))
             for number in range(count)]  # fmt: skip
    img = sheet(pairs)
    for number in range(2 * count):
        assert (img == number).all(axis=2).sum() >= PANEL * PANEL, number


@needs_basicsr
def test_pairs_of_a_file_are_shown_as_the_training_gets_them(pictures):
    """Cut from both pictures of a pair, in the place of every sample of a training with this seed."""
    from aethernet.integrations.basicsr.preview import preview

    file = written(pictures, "tiny", 2, "train", lq_size=16)
    seen = preview(file, 8)
    assert (seen.dataset, seen.model, seen.pictures) == ("PairedImageDataset", "AetherModel", 3)
    assert sorted(each.name for each in seen.samples) == ["00.png", "01.png", "02.png"]  # in the order of the disk
    for each in seen.samples:
        assert each.gt.shape == (32, 32, 3) and each.lq.shape == (16, 16, 3)
        whole = cv2.imread(str(pictures / "datasets/DIV2K/HR_sub" / each.name))[..., ::-1]
        turned = [np.rot90(turn, k) for k in range(4) for turn in (each.gt, each.gt[:, ::-1])]
        windows = np.lib.stride_tricks.sliding_window_view(whole, (32, 32), axis=(0, 1)).transpose(0, 1, 3, 4, 2)
        assert any((windows == one).all(axis=(2, 3, 4)).any() for one in turned)
    again, other = preview(file, 8), preview(file, 8, seed=1)
    assert all(np.array_equal(a.gt, b.gt) for a, b in zip(seen.samples, again.samples, strict=True))
    assert not all(np.array_equal(a.gt, b.gt) for a, b in zip(seen.samples, other.samples, strict=True))


@needs_basicsr
@pytest.mark.parametrize(
    ("scale", "stage", "degradation"),
    [
        (3, "real_gan", "photo"),
        pytest.param(2, "real", "full", marks=pytest.mark.slow),
        pytest.param(4, "real", "photo", marks=pytest.mark.slow),
        pytest.param(4, "real_qat", "full", marks=pytest.mark.slow),
    ],
)
def test_degraded_inputs_of_a_file_are_shown(pictures, scale, stage, degradation, capsys):
    """The command, for files that differ in what they degrade; random numbers are those of the seed alone."""
    from aethernet.integrations.basicsr.preview import preview

    file = written(pictures, "tiny", scale, stage, degradation=degradation, lq_size=24, batch=2)
    assert cli.main(["data", "preview", "-opt", str(file), "-n", "1", "-o", "out/sheet.png"]) == 0
    assert "wrote out/sheet.png: 1 of 3 pictures, as RealESRGANDataset and AetherReal" in capsys.readouterr().out
    img = read_rgb(pictures / "out/sheet.png")[0]
    (sample,) = preview(file, 1).samples
    assert sample.gt.shape == (24 * scale, 24 * scale, 3) and sample.lq.shape == (24, 24, 3)
    assert np.array_equal(img, sheet([(sample.name, sample.gt, sample.lq)]))


@needs_basicsr
def test_grey_pairs_are_shown_in_grey(pictures):
    from aethernet.integrations.basicsr.preview import preview

    (sample,) = preview(written(pictures, "tiny", 2, "train", lq_size=16, in_channels=1), 1).samples
    assert sample.gt.shape == (32, 32, 3) and (sample.gt == sample.gt[..., :1]).all()


@needs_basicsr
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"datasets:train:dataroot_gt": "nowhere"}, "datasets: train: dataroot_gt: nowhere is not a folder"),
        ({"datasets:train:type": "PairedDataset"}, "no data set of the name 'PairedDataset' is registered"),
        ({"datasets:train:gt_size": None}, "datasets: train: gt_size: is missing"),
        ({"scale": None}, "scale: must be a whole number such as 4 at the top level"),
        ({"model_type": "AetherRealModel"}, "PairedImageDataset gives pairs, and AetherRealModel degrades what"),
        ({"datasets:train:type": "RealESRGANDataset"}, "gives no low-resolution pictures, and SRModel makes none"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_written(tmp_path, change, message, capsys):
    write_pairs(tmp_path)
    file = write_options(tiny_options(tmp_path, **change), tmp_path / "my.yml")
    assert cli.main(["data", "preview", "-opt", str(file), "-o", str(tmp_path / "sheet.png")]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "sheet.png").exists()


@needs_basicsr
def test_weights_schedule_and_validation_may_be_missing_yet(tmp_path):
    from aethernet.integrations.basicsr.preview import preview

    write_pairs(tmp_path)
    changes = {"path:pretrain_network_g": "nowhere.pth", "datasets:val:dataroot_gt": "nowhere", "train:warmup_iter": 99}
    assert len(preview(write_options(tiny_options(tmp_path, **changes), tmp_path / "my.yml"), 2).samples) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["-o", "sheet.jpg"], 1, "written as PNG: give a name that ends in .png"),
        (["-o", "sheet.png", "-n", "0"], 2, "is not a whole number of at least 1"),
        (["-o", "sheet.png", "--seed", "-1"], 2, "is not a whole number of at least 0"),
        (["-o", "sheet.png"], 1, "the option file my.yml does not exist"),
    ],
)
def test_wrong_arguments_are_told(tmp_path, monkeypatch, arguments, code, message, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["data", "preview", "-opt", "my.yml", *arguments]
    if code == 2:
        with pytest.raises(SystemExit):
            cli.main(command)
    else:
        assert cli.main(command) == code
    assert message in capsys.readouterr().err


@needs_basicsr
def test_a_data_set_that_gives_no_pairs_is_told(tmp_path):
    from aethernet.integrations.basicsr.preview import _sample

    with pytest.raises(OptionError, match="gives lq, lq_path, and no pair of gt and lq"):
        _sample({"lq": 0, "lq_path": ""}, {"datasets": {"train": {"type": "SingleImageDataset"}}})
