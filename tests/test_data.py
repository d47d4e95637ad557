"""Bicubic resizing equals BasicSR's; the embedded pictures are there, split and written as pairs."""

import cv2
import numpy as np
import pytest

from aethernet.cli import main
from aethernet.data.bicubic import bicubic_downsample, bicubic_upscale, modcrop
from aethernet.data.embedded import PICTURES, SPLITS, embedded_pictures, write_embedded
from aethernet.errors import DataError, MissingDependencyError, OutputError, UsageError
from aethernet.integrations.basicsr import compat

SIZES = [(48, 72), (97, 101), (120, 96)]


@pytest.fixture(scope="module")
def imresize():
    compat.apply()
    return pytest.importorskip("basicsr.utils.matlab_functions").imresize


def picture(height, width, channels=3, seed=0):
    """Noise with flat parts: as hard for a resizer as a picture can be."""
    img = np.random.default_rng(seed).random((height, width, channels)).astype(np.float32)
    img[: height // 3] = img[0, 0]
    return img


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
def test_downsampling_equals_basicsr(imresize, scale, size):
    img = picture(*size)
    # BasicSR computes positions in float32, which is off by about 1e-6 where the scale is no power of two.
    np.testing.assert_allclose(bicubic_downsample(img, scale), imresize(img, 1 / scale), rtol=0, atol=1e-5)


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
def test_upscaling_equals_basicsr(imresize, scale):
    img = picture(23, 31)
    np.testing.assert_allclose(bicubic_upscale(img, scale), imresize(img, scale), rtol=0, atol=1e-5)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_bytes_are_rounded_as_basicsr_users_round(imresize, scale):
    img = (picture(96, 120) * 255).round().astype(np.uint8)
    expected = (imresize(img.astype(np.float32) / 255, 1 / scale) * 255).clip(0, 255).round()
    out = bicubic_downsample(img, scale)
    assert out.dtype == np.uint8
    difference = np.abs(out.astype(int) - expected)
    assert difference.max() <= 1  # one level where float error decides a half
    assert (difference > 0).mean() < 1e-3


@pytest.mark.parametrize("scale", [2, 4])
def test_halves_are_rounded_upwards_as_matlab_does(scale):
    """Half of each picture is one level above the other: every mean lies halfway between two levels, exactly."""
    for level in range(255):
        img = np.repeat(np.array([[level, level + 1]], np.uint8), scale // 2, axis=1).repeat(scale, axis=0)
        assert bicubic_downsample(img.astype(np.float32), scale).item() == level + 0.5
        assert bicubic_downsample(img, scale).item() == level + 1


def test_scale_one_is_the_identity_and_a_copy():
    img = picture(9, 7)
    out = bicubic_downsample(img, 1)
    np.testing.assert_array_equal(out, img)
    assert not np.shares_memory(out, img)


@pytest.mark.parametrize("resize", [bicubic_downsample, bicubic_upscale])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_type_and_channels_are_kept_and_a_constant_stays_constant(resize, dtype):
    for shape in [(16, 24), (16, 24, 1), (16, 24, 3), (1, 2, 3)]:
        img = np.full(shape, 77, dtype)
        out = resize(img, 4)
        assert out.dtype == dtype
        assert out.shape[2:] == shape[2:]
        np.testing.assert_allclose(out, 77, rtol=1e-6)


def test_channels_and_axes_are_treated_alike():
    img = picture(40, 28)
    out = bicubic_downsample(img, 4)
    np.testing.assert_array_equal(out[:, :, 1], bicubic_downsample(img[:, :, 1], 4))
    np.testing.assert_allclose(out.swapaxes(0, 1), bicubic_downsample(img.swapaxes(0, 1), 4), atol=1e-6)
    np.testing.assert_allclose(out[::-1, ::-1], bicubic_downsample(img[::-1, ::-1], 4), atol=1e-6)


def test_overshoot_is_clipped_in_bytes_and_kept_in_floats():
    img = np.zeros((32, 32), np.uint8)
    img[:, 16:] = 255
    out = bicubic_upscale(img, 4)
    assert (out.min(), out.max()) == (0, 255)
    assert bicubic_upscale(img.astype(np.float32), 4).max() > 260


@pytest.mark.parametrize("scale", [0, -2, 2.0, True, "2"])
def test_a_wrong_scale(scale):
    with pytest.raises(UsageError, match="scale must be a whole number of at least 1"):
        bicubic_downsample(picture(8, 8), scale)


@pytest.mark.parametrize("img", [np.zeros((8, 8), np.uint16), np.zeros(8, np.uint8), np.zeros((0, 8, 3), np.uint8)])
def test_a_wrong_array(img):
    with pytest.raises(DataError, match=r"non-empty \(H, W\) or \(H, W, C\) array of uint8 or floats"):
        bicubic_downsample(img, 2)


def test_modcrop():
    assert modcrop(picture(13, 25), 12).shape == (12, 24, 3)
    assert modcrop(picture(13, 25)[:, :, 0], 1).shape == (13, 25)
    with pytest.raises(DataError, match="25x11 has no multiple of 12 in both sides"):
        modcrop(picture(11, 25), 12)


def test_embedded_pictures_are_rgb_bytes_and_split_by_picture():
    train, val = (embedded_pictures(split) for split in SPLITS)
    assert len(train) + len(val) == len(PICTURES)
    assert not set(train) & set(val)
    assert len({entry.file for entry in PICTURES}) == len(PICTURES)
    assert "motorcycle_right.png" not in {entry.file for entry in PICTURES}
    for img in [*train.values(), *val.values()]:
        assert img.dtype == np.uint8
        assert img.ndim == 3 and img.shape[2] == 3
        assert min(img.shape[:2]) >= 190
    assert len(val) == 4
    assert all((img[:, :, 0] != img[:, :, 2]).any() for img in val.values()), "validation pictures are in colour"


def test_embedded_colours_are_in_rgb_order():
    astronaut = embedded_pictures("val")["astronaut"]
    suit = astronaut[250:280, 150:180].reshape(-1, 3).mean(axis=0)
    assert suit[0] > suit[2] + 60, "the suit is orange"


def test_every_picture_names_its_source():
    assert all(entry.source and entry.shows and entry.split in SPLITS for entry in PICTURES)


def test_an_unknown_split():
    with pytest.raises(UsageError, match="'train' and 'val'"):
        embedded_pictures("test")


def test_a_missing_file_of_the_wheel(monkeypatch, tmp_path):
    monkeypatch.setattr("aethernet.data.embedded._wheel_folder", lambda: tmp_path)
    with pytest.raises(MissingDependencyError, match=r"no usable astronaut.png in .*cannot be read.*reinstall"):
        embedded_pictures("val")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    directory = tmp_path_factory.mktemp("embedded") / "set"
    assert write_embedded(directory, scales=(2, 4)) == len(PICTURES) * 3
    return directory


def test_written_pairs_match(written):
    for split in SPLITS:
        names = {path.name for path in (written / split / "HR").iterdir()}
        assert names == {f"{entry.name}.png" for entry in PICTURES if entry.split == split}
        for name in names:
            hr = cv2.imread(str(written / split / "HR" / name))
            assert hr.shape[0] % 12 == hr.shape[1] % 12 == 0
            for scale in (2, 4):
                lr = cv2.imread(str(written / split / "LR_bicubic" / f"X{scale}" / name))
                assert lr.shape[0] * scale == hr.shape[0] and lr.shape[1] * scale == hr.shape[1]
    hr, lr = (cv2.imread(str(written / "val" / folder / "coffee.png")) for folder in ("HR", "LR_bicubic/X4"))
    np.testing.assert_array_equal(bicubic_downsample(hr, 4), lr)
    np.testing.assert_array_equal(hr[:, :, ::-1], modcrop(embedded_pictures("val")["coffee"], 12))


def test_writing_again_changes_nothing(written):
    before = {path: path.stat().st_mtime_ns for path in written.rglob("*")}
    assert write_embedded(written, scales=(4, 2)) == 0
    assert {path: path.stat().st_mtime_ns for path in written.rglob("*")} == before


@pytest.fixture
def one_picture_a_split(monkeypatch):
    monkeypatch.setattr(
        "aethernet.data.embedded.embedded_pictures", lambda split: {split: np.zeros((50, 50, 3), np.uint8)}
    )


@pytest.mark.usefixtures("one_picture_a_split")
def test_what_is_missing_is_restored(tmp_path):
    assert write_embedded(tmp_path / "set") == 8
    (tmp_path / "set/val/HR/val.png").unlink()
    assert write_embedded(tmp_path / "set", scales=(2,)) == 8
    assert (tmp_path / "set/val/HR/val.png").is_file()


@pytest.mark.usefixtures("one_picture_a_split")
def test_a_full_disk_is_reported_and_the_next_run_completes_the_set(monkeypatch, tmp_path):
    def full(path, img):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("aethernet.data.embedded.write_png", full)
        with pytest.raises(OutputError, match=r"cannot write below .*No space left on device"):
            write_embedded(tmp_path / "set")
    assert write_embedded(tmp_path / "set") == 8


@pytest.mark.usefixtures("one_picture_a_split")
def test_a_new_scale_joins_the_old_ones(tmp_path):
    write_embedded(tmp_path / "set", scales=(2,))
    write_embedded(tmp_path / "set", scales=(8,))
    assert cv2.imread(str(tmp_path / "set/val/HR/val.png")).shape == (48, 48, 3)
    assert cv2.imread(str(tmp_path / "set/val/LR_bicubic/X2/val.png")).shape == (24, 24, 3)
    assert cv2.imread(str(tmp_path / "set/val/LR_bicubic/X8/val.png")).shape == (6, 6, 3)


def test_somebody_elses_folder_is_refused(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match=r"is not empty and holds no embedded\.json"):
        write_embedded(tmp_path)
    assert main(["data", "embedded", str(tmp_path)]) == 1
    assert "give an empty or a new folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(OutputError, match="is a file"):
        write_embedded(tmp_path / "thesis.txt")
    with pytest.raises(UsageError, match="one or more whole numbers of at least 1"):
        write_embedded(tmp_path / "new", scales=(0,))


def test_the_command_prints_what_belongs_in_an_option_file(written, capsys):
    assert main(["data", "embedded", str(written), "--scales", "2"]) == 0
    out = capsys.readouterr().out
    assert f"dataroot_gt: {written / 'train' / 'HR'}\n" in out
    assert f"dataroot_lq: {written / 'val' / 'LR_bicubic' / 'X2'}\n" in out
