"""The one reader: the pixels that BasicSR sees, upright in every format, and without OpenCV where Pillow can serve."""

import importlib
import io
import itertools
import os
import sys

import cv2
import numpy as np
import pytest
from helpers import picture_files as make
from PIL import Image, features

from aethernet.cli import main
from aethernet.data.opencv import opencv
from aethernet.data.pictures import find_pictures, middle, picture_size, png_bytes, read_rgb, write_png
from aethernet.errors import DataError, MissingDependencyError

LIBRARY = "libGL.so.1: cannot open shared object file: No such file or directory"
FORMATS = ["JPEG", "PNG", "WEBP", "TIFF", *(["AVIF"] if "avif" in features.get_supported() else [])]
HEADLESS = r"needs OpenCV, which does not load \(libGL\.so\.1: .*\): .*pip install opencv-python-headless$"


def photograph(height=37, width=53):
    """Smooth, coloured and noisy, (H, W, 3) RGB uint8."""
    y, x = np.mgrid[:height, :width] / 12
    waves = np.stack([np.sin(x + y), np.sin(2 * x - y), np.cos(x * y / 3)], axis=2)
    noise = np.random.default_rng(0).normal(0, 12, waves.shape)
    return (waves * 100 + 128 + noise).clip(0, 255).astype(np.uint8)


def encoded(image, kind, **how):
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()


def as_basicsr(data):
    """(H, W, 3) RGB as `basicsr.utils.imfrombytes` decodes it."""
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]


def without_opencv(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    import_module = importlib.import_module

    def importer(name, package=None):
        if name == "cv2":
            raise ImportError(LIBRARY)
        return import_module(name, package)

    monkeypatch.setattr(importlib, "import_module", importer)


def files():
    image = Image.fromarray(photograph())
    for quality, subsampling, progressive in itertools.product((30, 75, 95, 100), (0, 1, 2), (False, True)):
        how = {"quality": quality, "subsampling": subsampling, "progressive": progressive}
        yield f"jpeg {quality} {subsampling} {progressive}", encoded(image, "JPEG", **how)
    yield "grey jpeg", encoded(image.convert("L"), "JPEG")
    for quality in (50, 90):
        yield f"webp {quality}", encoded(image, "WEBP", quality=quality)
    for kind in ("WEBP", "PNG", "TIFF", "BMP", "PPM"):
        yield f"{kind} without loss", encoded(image, kind, **({"lossless": True} if kind == "WEBP" else {}))
    yield "tiff, compressed", encoded(image, "TIFF", compression="tiff_lzw")
    for kind, mode in itertools.product(("PNG", "BMP", "TIFF"), ("1", "L", "P")):
        yield f"{kind} {mode}", encoded(image.convert(mode), kind)
    yield "grey ppm", encoded(image.convert("L"), "PPM")


FILES = dict(files())


@pytest.mark.parametrize("name", FILES)
def test_pixels_are_those_of_basicsr(tmp_path, monkeypatch, name):
    """Bit for bit, JPEG as well: training, validation and measurements see the same pictures."""
    expected = as_basicsr(FILES[name])
    without_opencv(monkeypatch)
    (tmp_path / "picture").write_bytes(FILES[name])
    np.testing.assert_array_equal(read_rgb(tmp_path / "picture")[0], expected)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_pictures_are_those_of_basicsr(tmp_path, monkeypatch, kind, orientation):
    """In AVIF OpenCV turns nothing, where all viewers do, and in WebP since 5.0."""
    if kind == "WEBP" and int(cv2.__version__.split(".")[0]) < 5:
        pytest.skip(f"OpenCV {cv2.__version__} does not turn WebP")
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(photograph()), kind, exif=exif)
    expected = as_basicsr(data)
    without_opencv(monkeypatch)
    (tmp_path / "picture").write_bytes(data)
    np.testing.assert_array_equal(read_rgb(tmp_path / "picture")[0], expected)


@pytest.mark.parametrize("ending", [".png", ".tif"])
@pytest.mark.parametrize("grey", [True, False])
def test_16_bits_are_off_by_one_level_at_most(tmp_path, ending, grey):
    """Ours are rounded to the nearest; OpenCV rounds colour in TIFF, and takes the upper byte of all others."""
    deep = np.random.default_rng(0).integers(0, 65536, (40, 50, 3)).astype(np.uint16)
    path = tmp_path / f"deep{ending}"
    assert cv2.imwrite(str(path), deep[:, :, 0] if grey else deep)
    assert np.abs(read_rgb(path)[0].astype(int) - as_basicsr(path.read_bytes())).max() == (
        not (ending == ".tif" and not grey)
    )


def test_a_colour_profile_changes_no_pixel(tmp_path):
    """BasicSR does not listen to it, nor do measurements; ink is made colour as if it had none."""
    image = Image.fromarray(photograph())
    for kind, mode, icc in (("PNG", "RGB", make.DISPLAY_P3), ("JPEG", "CMYK", make.cmyk_profile())):
        pixels = []
        for how in ({}, {"icc_profile": icc}):
            (tmp_path / "a").write_bytes(encoded(image.convert(mode), kind, **how))
            pixels.append(read_rgb(tmp_path / "a")[0])
        np.testing.assert_array_equal(*pixels)


def test_cmyk_is_off_by_two_levels_at_most(tmp_path):
    data = encoded(Image.fromarray(photograph()).convert("CMYK"), "JPEG", quality=95)
    (tmp_path / "a.jpg").write_bytes(data)
    difference = read_rgb(tmp_path / "a.jpg")[0].astype(int) - as_basicsr(data)
    assert np.abs(difference).max() <= 2  # the two round the product of ink and black differently


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_format_is_upright(tmp_path, monkeypatch, kind, orientation):
    without_opencv(monkeypatch)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(photograph()), kind, exif=exif)
    path = tmp_path / "turned"
    path.write_bytes(data)
    (tmp_path / "plain").write_bytes(encoded(Image.fromarray(photograph()), kind))
    plain = read_rgb(tmp_path / "plain")[0]
    turns = [
        plain,
        plain[:, ::-1],
        plain[::-1, ::-1],
        plain[::-1],
        plain.swapaxes(0, 1),
        np.rot90(plain, -1),
        np.rot90(plain, 2).swapaxes(0, 1),
        np.rot90(plain),
    ]
    img = read_rgb(path)[0]
    np.testing.assert_array_equal(img, turns[orientation - 1])
    assert picture_size(path) == img.shape[1::-1]


def deep_png(orientation):
    """A 16-bit PNG in colour with EXIF, which Pillow cannot write: OpenCV's, with the chunk of another file."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    small = encoded(Image.new("L", (1, 1)), "PNG", exif=exif)
    start = small.index(b"eXIf") - 4
    chunk = small[start : start + 12 + int.from_bytes(small[start : start + 4], "big")]
    deep = photograph().astype(np.uint16) * 257
    data = cv2.imencode(".png", deep[:, :, ::-1])[1].tobytes()
    return data[:33] + chunk + data[33:]  # behind the signature and the header


def test_16_bit_colour_is_upright_too(tmp_path):
    (tmp_path / "deep.png").write_bytes(deep_png(6))
    img, notices = read_rgb(tmp_path / "deep.png")
    assert notices == ["16-bit made 8-bit"]
    np.testing.assert_array_equal(img, np.rot90(photograph(), -1))


@pytest.mark.parametrize("ending", [".png", ".tif", ".ppm"])
def test_16_bit_colour(tmp_path, ending):
    assert cv2.imwrite(str(tmp_path / f"deep{ending}"), photograph().astype(np.uint16)[:, :, ::-1] * 257)
    img, notices = read_rgb(tmp_path / f"deep{ending}")
    assert notices == ["16-bit made 8-bit"]
    np.testing.assert_array_equal(img, photograph())


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_16_bit_colour_needs_opencv_and_names_the_headless_build(tmp_path, monkeypatch, ending):
    path = tmp_path / f"deep{ending}"
    assert cv2.imwrite(str(path), photograph().astype(np.uint16)[:, :, ::-1] * 257)
    without_opencv(monkeypatch)
    with pytest.raises(MissingDependencyError, match=HEADLESS):
        read_rgb(path)


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_16_bit_grey_needs_no_opencv(tmp_path, monkeypatch, ending):
    grey = photograph()[:, :, 0]
    assert cv2.imwrite(str(tmp_path / f"grey{ending}"), grey.astype(np.uint16) * 257)
    without_opencv(monkeypatch)
    img, notices = read_rgb(tmp_path / f"grey{ending}")
    assert notices == ["16-bit made 8-bit", "grey made RGB"]
    np.testing.assert_array_equal(img, np.repeat(grey[:, :, None], 3, axis=2))


def test_transparency_of_every_kind_is_laid_over_white(tmp_path, monkeypatch):
    without_opencv(monkeypatch)
    colour = photograph()
    alpha = np.full(colour.shape[:2], 255, np.uint8)
    alpha[:, :20] = 0
    image = Image.fromarray(np.dstack([colour, alpha]))
    image.save(tmp_path / "rgba.png")
    image.convert("LA").save(tmp_path / "grey.png")
    image.quantize(16).save(tmp_path / "palette.png")
    for path in find_pictures(tmp_path):
        img, notices = read_rgb(path)
        assert (img[:, :20] == 255).all() and "transparency laid over white" in notices, path
    np.testing.assert_array_equal(read_rgb(tmp_path / "rgba.png")[0][:, 20:], colour[:, 20:])
    assert "grey made RGB" in read_rgb(tmp_path / "grey.png")[1]


def test_pictures_are_prepared_without_opencv(tmp_path, monkeypatch, capsys):
    without_opencv(monkeypatch)
    (tmp_path / "hr").mkdir()
    Image.fromarray(photograph()).save(tmp_path / "hr" / "a.jpg", quality=95)
    (tmp_path / "hr" / "broken.png").write_bytes(b"this is no picture")
    arguments = ["--scales", "2", "--crop-size", "32", "--step", "32", "--min-size", "16", "--workers", "1"]
    assert main(["data", "prepare", str(tmp_path / "hr"), str(tmp_path / "out"), *arguments]) == 0
    out = capsys.readouterr().out
    assert "1 picture prepared" in out
    assert "skipped broken.png: not a picture that Pillow can decode, and" in out


def test_what_pillow_cannot_decode_is_told(tmp_path):
    data = bytearray(encoded(Image.fromarray(photograph()), "PNG"))
    data[60:80] = bytes(20)  # amid the compressed pixels
    (tmp_path / "damaged.png").write_bytes(data)
    with pytest.raises(DataError, match=r"^Pillow cannot decode it: "):
        read_rgb(tmp_path / "damaged.png")
    (tmp_path / "else.png").write_bytes(b"something else")
    with pytest.raises(DataError, match=r"^not a picture that Pillow or OpenCV can decode$"):
        read_rgb(tmp_path / "else.png")


def test_the_size_of_a_png_is_read_without_its_pixels(tmp_path, monkeypatch):
    """Preflight asks for that of every picture of a set."""
    Image.fromarray(photograph()).save(tmp_path / "a.png")
    monkeypatch.setattr(Image.Image, "load", None)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", None)
    assert picture_size(tmp_path / "a.png") == (53, 37)


def test_a_damaged_turn_leaves_the_pixels(tmp_path):
    exif = b"Exif\0\0" + b"nonsense"
    Image.fromarray(photograph()).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.png")[0], photograph())


def test_larger_pictures_than_pillow_allows_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 900)  # an error from twice as many on: 37 x 53 are 1961
    write_png(tmp_path / "a.png", photograph())
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.png")[0], photograph())
    assert picture_size(tmp_path / "a.png") == (53, 37)
    assert Image.MAX_IMAGE_PIXELS == 900  # which is a global of Pillow's, and the user's own


def test_opencv_of_which_half_is_gone(monkeypatch):
    """What stays when one of two builds in one folder is removed."""
    monkeypatch.setitem(sys.modules, "cv2", type(sys)("cv2"))
    with pytest.raises(
        MissingDependencyError, match=r"^drawing needs OpenCV.*its files are incomplete.*pip uninstall -y "
    ):
        opencv("drawing")


def test_synthetic_pictures_need_opencv(monkeypatch):
    monkeypatch.delitem(sys.modules, "aethernet.data.synthetic", raising=False)
    without_opencv(monkeypatch)
    with pytest.raises(MissingDependencyError, match=HEADLESS):
        importlib.import_module("aethernet.data.synthetic")


def test_png_holds_the_picture(tmp_path):
    write_png(tmp_path / "a.png", photograph())
    np.testing.assert_array_equal(as_basicsr((tmp_path / "a.png").read_bytes()), photograph())
    assert len(png_bytes(photograph(), compression=9)) <= len(png_bytes(photograph()))


@pytest.mark.parametrize(("size", "expected"), [((4, 6), (4, 6)), ((5, 99), (5, 9)), ((7, 9), (7, 9))])
def test_the_middle_of_a_picture(size, expected):
    img = np.arange(63).reshape(7, 9)
    window = middle(img, *size)
    assert window.shape == expected
    top, left = (7 - expected[0]) // 2, (9 - expected[1]) // 2
    assert window[0, 0] == img[top, left]


@pytest.mark.skipif(os.name != "posix", reason="links as POSIX has them")
def test_linked_folders_and_pictures_are_found_once(tmp_path, caplog):
    df2k, elsewhere = tmp_path / "DF2K", tmp_path / "DIV2K"
    (elsewhere / "sub").mkdir(parents=True)
    (df2k / "own").mkdir(parents=True)
    for path in (df2k / "a.png", df2k / "own" / "b.png", elsewhere / "c.png", elsewhere / "sub" / "d.png"):
        path.write_bytes(b"")
    (df2k / "DIV2K").symlink_to(elsewhere)
    (df2k / "again").symlink_to(elsewhere / "sub")
    (elsewhere / "loop").symlink_to(df2k)
    (df2k / "e.png").symlink_to(elsewhere / "c.png")
    (df2k / "dead.png").symlink_to("nowhere.png")
    (df2k / "Flickr2K").symlink_to("/disk/that/is/not/there")
    (df2k / "notes.txt").symlink_to("nowhere.txt")
    found = [str(path.relative_to(df2k)) for path in find_pictures(df2k)]
    assert found == ["DIV2K/c.png", "DIV2K/sub/d.png", "a.png", "e.png", "own/b.png"]
    assert sorted(caplog.messages) == [
        f"{df2k / name} is a link that leads nowhere, and is left out" for name in ("Flickr2K", "dead.png")
    ]
