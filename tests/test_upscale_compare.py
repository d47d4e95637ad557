"""`--compare`: what is drawn, where it lies, which original belongs to a picture, and pictures of every kind and size."""

import numpy as np
import pytest

from aethernet.data.bicubic import bicubic_downsample, bicubic_upscale
from aethernet.data.embedded import embedded_pictures
from aethernet.data.picture.picture import Metadata, Picture
from aethernet.data.picture.reading import read_picture
from aethernet.data.pictures import write_png
from aethernet.errors import DataError, OutputError
from aethernet.plots.panels import Row, fitted, framed, side_by_side
from aethernet.quality.metrics import y_psnr, y_psnr_ssim
from aethernet.upscale import compare
from aethernet.upscale.compare import bicubic_rows, comparison, comparison_path, original_of, write_comparison


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_bicubic_in_parts_is_bicubic(scale, monkeypatch):
    monkeypatch.setattr(compare, "ROWS", 7)
    for height in (1, 6, 7, 8, 40):
        lr = noise(height, 13)
        assert np.array_equal(bicubic_rows(lr, scale), bicubic_upscale(lr, scale))


def test_psnr_alone_is_that_of_the_quality_tables():
    """Sums of another order, no more."""
    picture, reference = noise(600, 50), noise(600, 50, seed=1)
    assert y_psnr(picture, reference, 3) == pytest.approx(y_psnr_ssim(picture, reference, 3)[0], abs=1e-9)
    assert y_psnr(picture, picture, 3) == float("inf")
    assert y_psnr(noise(3, 3), noise(3, 3), 1) == float("inf")
    for other, border in ((noise(600, 51), 3), (reference, 25)):
        with pytest.raises(DataError):
            y_psnr(picture, other, border)


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (48, 48), (49, 48), (97, 60), (110, 150)])
@pytest.mark.parametrize("with_original", [False, True])
def test_pictures_of_all_sizes(size, with_original):
    lr = noise(*size)
    result = bicubic_upscale(lr, 4)
    drawn = comparison(lr, result, result if with_original else None, name="net")
    assert drawn.dtype == np.uint8 and drawn.shape[1] <= 3 * compare.PANEL + 2 * 8 + 2 * 12


def test_the_panels_are_the_pictures_pixel_by_pixel():
    """Of a large picture the place is found again in the comparison, from bicubic, the model and the original."""
    hr = np.tile(embedded_pictures("val")["chelsea"], (3, 2, 1))[:800, :800]
    lr = bicubic_downsample(hr, 2)
    result = np.clip(hr.astype(int) + 9, 0, 255).astype(np.uint8)
    drawn = comparison(lr, result, hr)
    for number, picture in enumerate((bicubic_upscale(lr, 2), result, hr)):
        left = 12 + number * (compare.PANEL + 8)
        panel = drawn[-12 - compare.PANEL : -12, left : left + compare.PANEL]
        windows = np.lib.stride_tricks.sliding_window_view(picture[:, :, 0], panel.shape[:2])[::2, ::2]
        first = np.argwhere((windows[:, :, 0, :9] == panel[0, :9, 0]).all(axis=-1))
        assert any(np.array_equal(windows[row, column], panel[:, :, 0]) for row, column in first)


def test_what_does_not_belong_together_is_refused():
    lr = noise(20, 30)
    with pytest.raises(DataError, match="61x40 is no multiple of a picture of 30x20"):
        comparison(lr, noise(40, 61))
    for original in (noise(42, 60), noise(39, 60), noise(60, 40)):
        with pytest.raises(DataError, match="does not belong"):
            comparison(lr, noise(40, 60), original)
    comparison(lr, noise(40, 60), noise(41, 61))  # what reducing it by 2 left over


def test_equal_and_tiny_pictures_have_titles_that_hold():
    lr = noise(30, 30)
    result = bicubic_upscale(lr, 2)
    titles = [compare._title(key, result, original, 2) for key, original in (("a", None), ("b", result.copy()))]
    assert titles == ["a", "b, equal"]
    assert compare._title("net", noise(4, 4), noise(4, 4, seed=1), 2) == "net"  # nothing inside the border


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_of_every_kind_are_written(tmp_path, dtype, channels):
    whole = 1 if dtype == np.float32 else np.iinfo(dtype).max
    color = np.full((40, 50, channels), whole // 4 if whole > 1 else 0.25, dtype)
    alpha = np.full((40, 50), whole, dtype)
    alpha[:, :25] = 0
    source = Picture(color, alpha)
    result = Picture(color.repeat(2, axis=0).repeat(2, axis=1), alpha.repeat(2, axis=0).repeat(2, axis=1))
    write_comparison(tmp_path / "c.png", source, result, result)
    drawn = read_picture(tmp_path / "c.png")
    assert drawn.color.shape[2] == 3 and drawn.depth == 8 and drawn.alpha is None
    below = drawn.color[-30]
    assert (below[20] == 255).all() and abs(int(below[12 + 200, 0]) - 64) <= 1  # over white; a quarter of the range


def test_the_profile_of_colours_goes_with_them(tmp_path):
    from PIL import ImageCms

    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    source, result = Picture(noise(20, 20)), Picture(noise(40, 40), metadata=Metadata(icc=icc))
    write_comparison(tmp_path / "c.png", source, result)
    assert read_picture(tmp_path / "c.png").metadata.icc == icc
    with pytest.raises(OutputError, match="cannot be written"):
        write_comparison(tmp_path / "c.png" / "d.png", source, result)


def test_where_comparisons_and_originals_lie(tmp_path):
    assert comparison_path("out/photo_x4.jpg").as_posix() == "out/photo_x4_compare.png"
    for name in ("baby.png", "bird.png", "bird.bmp", "head_x2.png"):
        write_png(tmp_path / name, noise(8, 8))
    assert original_of("lr/babyx4.jpg", tmp_path, 4) == tmp_path / "baby.png"
    assert original_of("lr/baby_LRBI_x4.jpg", tmp_path, 4) == tmp_path / "baby.png"
    assert original_of("lr/head_x2.webp", tmp_path, 4) == tmp_path / "head_x2.png"
    assert original_of("lr/woman.png", tmp_path, 4) is None
    assert original_of("anything.png", tmp_path / "baby.png", 4) == tmp_path / "baby.png"
    with pytest.raises(DataError, match=r"bird\.bmp and bird\.png"):
        original_of("bird.png", tmp_path, 4)
    for folder in ("a", "b"):
        write_png(tmp_path / folder / "same.png", noise(8, 8))
    assert original_of("lr/b/same.jpg", tmp_path, 4) == tmp_path / "b" / "same.png"
    assert original_of("lr/c/same.jpg", tmp_path, 4) is None
    with pytest.raises(DataError, match="is not a folder"):
        original_of("bird.png", tmp_path / "nowhere", 4)


def test_panels():
    small, large = np.zeros((10, 20, 3), np.uint8), noise(700, 900)
    drawn = side_by_side(
        ["a", "a long title of a narrow picture"], [Row([small, small], "caption"), Row([small, small])]
    )
    assert drawn.shape[0] == 24 + 20 + 2 * 10 + 8 + 2 * 12
    assert drawn.shape[1] > 20 + 8 + 100 and drawn.min() < 40 and (drawn[0] == 255).all()
    assert fitted(large, 384).shape == (299, 384, 3) and fitted(small, 384).shape == (190, 380, 3)
    assert fitted(noise(1, 5000), 384).shape == (1, 384, 3)
    assert (framed(small, 2, 2, 2, 2)[2, 2] != 0).any() and not small.any()


def test_a_run_writes_one_beside_each_result(tmp_path):
    hr, lr = noise(40, 60), noise(20, 30)
    write_png(tmp_path / "hr" / "photo.png", hr)
    comparing = compare.Comparing("net", tmp_path / "hr")
    source, result = Picture(lr), Picture(hr)
    assert comparing("photo.png", tmp_path / "photo.png", source, result) == []
    assert comparing("photo.jpg", tmp_path / "photo.jpg", source, result) == []
    written = [read_picture(tmp_path / name).color for name in ("photo_compare.png", "photo_jpg_compare.png")]
    assert np.array_equal(*written) and np.array_equal(written[0], comparison(lr, hr, hr, name="net"))
    assert "exists and is kept" in comparing("photo.jpg", tmp_path / "photo.jpg", source, result)[0]
    assert comparing("other.png", tmp_path / "other.png", source, result) == [f"no original of it in {tmp_path / 'hr'}"]
    problems = compare.Comparing("net", tmp_path / "nowhere")("other.png", tmp_path / "third.png", source, result)
    assert len(problems) == 1 and problems[0].startswith("no comparison: ")
    assert compare.Comparing("net", force=True)("photo.png", tmp_path / "photo.png", source, result) == []
