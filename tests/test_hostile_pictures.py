"""Damaged and hostile picture files: a picture, or one line that names the fault; never a crash, a hang or a full memory."""

import os
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers import picture_files as make
from PIL import Image, features

from aethernet.data.picture.picture import Animation, Picture
from aethernet.data.picture.reading import read_picture
from aethernet.data.pictures import read_rgb
from aethernet.errors import AetherError, DataError, LackOfMemory

ARCHS = Path(__file__).parents[1] / "archs"
FILES = 300
ALLOWED = 2**16  # pixels


def sound_files():
    """One of each kind, small."""
    generator = np.random.default_rng(0)
    smooth = np.add.outer(np.arange(40), np.arange(50))[:, :, None] * np.array([2, 1, 2, 2]) + generator.integers(
        0, 9, (40, 50, 4)
    )
    img = smooth.clip(0, 255).astype(np.uint8)
    colour, alpha, grey = Image.fromarray(img[:, :, :3]), Image.fromarray(img), Image.fromarray(img[:, :, 0])
    more = {"exif": make.exif(6), "icc_profile": make.DISPLAY_P3}
    yield make.encoded(colour, "JPEG", quality=90, **more)
    yield make.encoded(colour, "JPEG", progressive=True)
    yield make.encoded(grey, "JPEG")
    yield make.encoded(make.cmyk(img), "JPEG", icc_profile=make.cmyk_profile())
    yield make.encoded(alpha, "PNG", **more)
    yield make.encoded(colour.quantize(64), "PNG", transparency=3)
    yield make.encoded(grey.convert("1"), "PNG")
    for channels in (1, 2, 3, 4):
        yield make.described_png(img[:, :, :channels].astype(np.uint16) * 257, 5, make.SRGB)
        yield make.tiff(img[:, :, :channels].astype(np.uint16) * 257, 6, make.SRGB, compression="zlib")
    yield make.encoded(alpha, "WEBP", lossless=True, **more)
    yield make.encoded(colour, "WEBP")
    yield make.encoded(colour, "TIFF", compression="tiff_lzw", icc_profile=make.SRGB)
    yield make.encoded(make.cmyk(img), "TIFF")
    yield make.encoded(colour.quantize(64), "GIF")
    for kind in ("GIF", "WEBP", "PNG"):
        turns = [alpha, alpha.transpose(Image.Transpose.ROTATE_180)]
        yield make.encoded(turns[0], kind, save_all=True, append_images=turns[1:], duration=50)
    yield make.encoded(colour, "BMP")
    yield make.encoded(colour, "PPM")
    if "avif" in features.get_supported():
        yield make.encoded(alpha, "AVIF", **more)


def outcome(data, **how):
    """What reading gives, all frames of an animation too."""
    try:
        read = read_picture(data, **how)
        for picture in [frame.picture for frame in read] if isinstance(read, Animation) else [read]:
            assert isinstance(picture, Picture)
            assert picture.color.dtype in (np.uint8, np.uint16) and picture.color.shape[2] in (1, 3)
        return read
    except AetherError as error:
        assert isinstance(error, DataError)
        text = str(error)
        assert text.strip() and "\n" not in text, text
        assert len(text) < 400, text
        return error


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_300_damaged_files():
    sound = list(sound_files())
    outcomes = [outcome(make.damaged(seed, sound), most_pixels=ALLOWED) for seed in range(FILES)]
    refused = sum(isinstance(each, DataError) for each in outcomes)
    assert FILES / 3 < refused < FILES  # some damage is not to be seen


def test_sound_files_are_read():
    for data in sound_files():
        assert not isinstance(outcome(data), DataError)


def huge(kind, width, height):
    """A small file that declares this size."""
    if kind == "png":
        return make.png(np.zeros((1, 1, 3), np.uint8)).replace(
            make.chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)),
            make.chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        )
    if kind == "png16":
        return make.png(np.zeros((1, 1, 4), np.uint16)).replace(
            make.chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, 6, 0, 0, 0)),
            make.chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 6, 0, 0, 0)),
        )
    if kind == "tiff16":
        data = bytearray(make.tiff(np.zeros((7, 11, 2), np.uint16)))
        for small, large in ((11, width), (7, height)):
            place = data.index(struct.pack("<HHI", 256 if small == 11 else 257, 4, 1)) + 8
            data[place : place + 4] = struct.pack("<I", large)
        return bytes(data)
    image = Image.new("RGB", (11, 7))
    data = bytearray(make.encoded(image, kind.upper()))
    if kind == "jpeg":
        place = data.index(b"\xff\xc0") + 5
        data[place : place + 4] = struct.pack(">HH", min(height, 65535), min(width, 65535))
    elif kind == "gif":
        data[6:10] = struct.pack("<HH", min(width, 65535), min(height, 65535))
    elif kind == "bmp":
        data[18:26] = struct.pack("<ii", width, height)
    elif kind == "ppm":
        data[:7] = f"P6\n{width} {height}".encode()
    return bytes(data)


@pytest.mark.parametrize("kind", ["png", "png16", "jpeg", "gif", "bmp", "ppm", "tiff16"])
def test_huge_declared_sizes_are_refused_by_the_header(kind):
    error = outcome(huge(kind, 200_000, 100_000))
    assert isinstance(error, DataError)
    assert "pixels, more than the 268,435,456 that are allowed" in str(error), error


def test_channels_without_number_are_refused_by_the_header():
    data = bytearray(make.tiff(np.zeros((200, 200, 2), np.uint16)))
    place = data.index(struct.pack("<HHI", 277, 3, 1)) + 8  # samples a pixel
    data[place : place + 2] = struct.pack("<H", 65535)
    error = outcome(bytes(data))
    assert isinstance(error, DataError) and "1 to 4 can be used" in str(error), error


def test_the_limit_is_an_argument():
    data = make.encoded(Image.new("L", (100, 50)), "PNG")
    assert read_picture(data, most_pixels=5000).size == (100, 50)
    with pytest.raises(DataError, match=r"^it declares 100 x 50 pixels, more than the 4,999 that are allowed$"):
        read_picture(data, most_pixels=4999)


MEMORY = """
import resource, sys
from pathlib import Path
from aethernet.data.picture.reading import read_picture
from aethernet.errors import DataError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        read_picture(path)
    except DataError as error:
        print(path.name, error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_bombs_take_no_memory(tmp_path):
    """Small files that would fill gigabytes: by their size, by a profile or a text of zeros."""
    for kind in ("png", "png16", "jpeg", "gif", "bmp", "ppm", "tiff16"):
        (tmp_path / kind).write_bytes(huge(kind, 200_000, 100_000))
    zeros = zlib.compress(bytes(400_000_000), 1)
    small = np.zeros((4, 4, 3), np.uint8)
    (tmp_path / "profile").write_bytes(make.png(small, (b"iCCP", b"a\0\0" + zeros)))
    (tmp_path / "text").write_bytes(make.png(small, (b"zTXt", b"a\0\0" + zeros)))
    run = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ARCHS)},
    )
    assert run.returncode == 0, run.stderr
    *lines, grown = run.stdout.splitlines()
    assert len(lines) == 9, lines
    assert int(grown) < 200, run.stdout  # megabytes, of libraries that are loaded at first use and Pillow's own limit


def test_names_for_what_is_no_file(tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_bytes(b"<!DOCTYPE html><html></html>")
    (tmp_path / "eps.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    expected = {
        "empty.png": "the file is empty",
        "text.png": "not a picture of a known format: PNG, JPEG",
        "eps.png": "not a picture of a known format: PNG, JPEG",
        "missing.png": "cannot be read: No such file or directory",
        ".": "cannot be read: Is a directory",
    }
    for name, text in expected.items():
        with pytest.raises(DataError, match=f"^{text}"):
            read_picture(tmp_path / name)
        with pytest.raises(DataError):
            read_rgb(tmp_path / name)


def test_a_lack_of_memory_is_named(tmp_path, monkeypatch):
    Image.new("L", (9, 9)).save(tmp_path / "a.png")
    monkeypatch.setattr(np, "asarray", lambda *_, **__: bytearray(1 << 62))
    for read in (read_picture, read_rgb):
        with pytest.raises(LackOfMemory, match="memory"):
            read(tmp_path / "a.png")


@pytest.mark.parametrize("place", ["PIL.Image.open", "PIL.PngImagePlugin.PngImageFile.load"])
def test_a_lack_of_memory_is_no_damage(tmp_path, monkeypatch, place):
    def lacks(*_, **__):
        raise MemoryError

    Image.new("L", (9, 9)).save(tmp_path / "a.png")
    monkeypatch.setattr(place, lacks)
    for read in (read_picture, read_rgb):
        with pytest.raises(LackOfMemory):
            read(tmp_path / "a.png")


def test_a_pipe_is_read(tmp_path):
    data = make.encoded(Image.new("L", (9, 9)), "PNG")
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(data))
    writer.start()
    assert read_picture(tmp_path / "pipe").size == (9, 9)
    writer.join()


def test_a_device_without_an_end():
    with pytest.raises(DataError, match=r"more than 64 MB, which no picture of 4,096 pixels has"):
        read_picture("/dev/zero", most_pixels=4096)


@pytest.mark.parametrize("size", [(1, 1), (1, 20_000), (20_000, 1)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "GIF"])
def test_odd_sizes_are_pictures(size, kind):
    assert read_picture(make.encoded(Image.new("L", size, 9), kind)).size == size


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_wrong_checksums_of_16_bit_are_named(channels):
    """OpenCV passes over them."""
    img = np.random.default_rng(0).integers(0, 65536, (40, 40, channels)).astype(np.uint16)
    data = bytearray(make.png(img))
    data[data.index(b"IDAT") + 400] ^= 4
    error = outcome(bytes(data))
    assert isinstance(error, DataError) and "Pillow cannot decode it: " in str(error)


def test_reading_from_a_closed_door(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(DataError, match=r"^cannot be read: Permission denied$"):
        read_picture(tmp_path / "a.png")
