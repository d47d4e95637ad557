"""Pictures that memory is too short for: read, enlarged and written by rows, they become what they become as a whole."""

import argparse
import io
import itertools
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from helpers.networks import randomise
from PIL import Image, ImageCms

from aethernet import aether_custom
from aethernet.data.picture import bleed as bleeding
from aethernet.data.picture import jpeg, strips_writing, tiff_writing
from aethernet.data.picture import rows as row_reading
from aethernet.data.picture.bleed import Bled, bleed
from aethernet.data.picture.decoding import open_header
from aethernet.data.picture.demand import reading_bytes
from aethernet.data.picture.picture import Metadata, Picture
from aethernet.data.picture.reading import read_picture
from aethernet.data.picture.rows import FileRows, open_rows
from aethernet.data.picture.strips import Strips, regrouped
from aethernet.data.picture.strips_writing import write_strips
from aethernet.data.picture.writing import write_picture
from aethernet.errors import DataError, MissingDependencyError, OutputError
from aethernet.flags import byte_size
from aethernet.machine import kept_memory
from aethernet.runtimes.pytorch import TorchSession
from aethernet.upscale import Saving, Upscaler, upscaler
from aethernet.upscale.enlarge import Report, enlarge
from aethernet.upscale.halo import Halo
from aethernet.upscale.large import source_of
from aethernet.upscale.memory import available_memory, free_memory, used_memory
from aethernet.upscale.sources import ArraySource
from aethernet.upscale.windows import Windows

KINDS = [(depth, channels) for depth in (8, 16) for channels in (1, 2, 3, 4)]
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif_of(turn=1):
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", turn
    exif.get_ifd(0x8769)[0x9003] = "2026:01:02 03:04:05"
    return exif


SAID = Metadata(icc=PROFILE, exif=exif_of().tobytes()[6:], xmp=b"<x:xmpmeta/>", dpi=(300.0, 300.0))


def smooth(height, width, channels, depth, seed=0):
    """A walk, so that JPEG's blocks hold more than noise; transparent pixels in a corner."""
    generator = np.random.default_rng(seed)
    walk = np.cumsum(generator.integers(-6, 7, (height, width, channels)), axis=1) + 128
    pixels = walk.clip(0, 255).astype(np.uint8)
    if channels in (2, 4):
        pixels[: height // 2, : width // 3, -1] = 0
    return (
        pixels if depth == 8 else pixels * np.uint16(257) ^ generator.integers(0, 256, pixels.shape).astype(np.uint16)
    )


def picture_of(pixels, metadata=SAID, **said):
    colors = pixels.shape[2] - (pixels.shape[2] in (2, 4))
    alpha = np.ascontiguousarray(pixels[:, :, colors]) if colors < pixels.shape[2] else None
    depth = 8 * pixels.itemsize
    return Picture(np.ascontiguousarray(pixels[:, :, :colors]), alpha, depth, metadata=metadata, **said)


def pixels_of(picture):
    return picture.color if picture.alpha is None else np.dstack([picture.color, picture.alpha])


def in_strips(picture, seed=0):
    """The same as strips of random heights."""
    pixels, generator = pixels_of(picture), np.random.default_rng(seed)
    cuts = np.unique([0, *generator.integers(0, len(pixels), 5), len(pixels)])
    parts = [pixels[start:stop] for start, stop in itertools.pairwise(cuts)]
    said = (picture.is_transparent, picture.depth, picture.format, picture.metadata)
    return Strips(iter(parts), *pixels.shape, pixels.dtype, *said)


# Writing


@pytest.mark.parametrize("seed", range(20))
def test_strips_are_regrouped_without_loss(seed):
    picture = picture_of(smooth(np.random.default_rng(seed).integers(1, 60), 3, 1, 8))
    rows = 1 + seed
    parts = list(regrouped(in_strips(picture, seed).rows, rows))
    assert np.array_equal(np.concatenate(parts), picture.color)
    assert all(len(part) == rows for part in parts[:-1]) and len(parts[-1]) <= rows


@pytest.mark.parametrize(("depth", "channels"), KINDS)
@pytest.mark.parametrize("format", ["png", "tiff", "jpg", "webp"])
def test_written_by_strips_and_as_a_whole_a_picture_is_the_same(tmp_path, monkeypatch, format, depth, channels):
    monkeypatch.setattr(strips_writing, "BAND", 1)
    picture = picture_of(smooth(150, 41, channels, depth), format=format.upper())
    if channels in (2, 4) and format == "jpg":
        picture = replace(picture, alpha=np.full_like(picture.alpha, np.iinfo(picture.alpha.dtype).max))
    whole, strips = tmp_path / f"whole.{format}", tmp_path / f"strips.{format}"
    told = write_picture(whole, picture, format=format)
    assert write_strips(strips, in_strips(picture), format=format) == told
    expected, found = read_picture(whole), read_picture(strips)
    assert np.array_equal(pixels_of(found), pixels_of(expected))
    assert found.metadata == expected.metadata and found.metadata.xmp == SAID.xmp
    assert found.depth == expected.depth


@pytest.mark.parametrize("height", [1, 63, 64, 65, 512, 1000])
@pytest.mark.parametrize("quality", [10, 95, 100])
def test_a_jpeg_in_strips_decodes_as_one_of_a_piece(monkeypatch, height, quality):
    monkeypatch.setattr(strips_writing, "BAND", 1)
    picture = picture_of(smooth(height, 37, 3, 8), format="JPEG")
    whole, strips = io.BytesIO(), io.BytesIO()
    write_picture(whole, picture, quality=quality)
    write_strips(strips, in_strips(picture), quality=quality)
    assert np.array_equal(np.asarray(Image.open(strips)), np.asarray(Image.open(whole)))
    # one restart marker behind every row of blocks but the last, numbered from 0 to 7 again and again
    data, scan = strips.getvalue(), strips.getvalue().rfind(b"\xff\xda")
    marks = [data[place + 1] - 0xD0 for place in range(scan, len(data) - 2) if data[place] == 0xFF and data[place + 1]]
    assert marks[1:] == [number % 8 for number in range(-(-height // 8) - 1)]
    assert jpeg.ROWS == 64


def test_a_tiff_beyond_its_limit_is_a_big_one_with_all_that_it_says(tmp_path, monkeypatch):
    monkeypatch.setattr(tiff_writing, "CLASSIC", 1)
    picture, path = picture_of(smooth(70, 50, 4, 16), format="TIFF"), tmp_path / "big.tiff"
    write_strips(path, in_strips(picture))
    assert path.read_bytes()[:4] == b"II+\0"
    found = read_picture(path)
    assert np.array_equal(pixels_of(found), pixels_of(picture))
    with Image.open(path) as image:
        exif = image.getexif()
        assert exif[0x010F] == "Maker" and exif.get_ifd(0x8769)[0x9003] == "2026:01:02 03:04:05"
        assert image.info["icc_profile"] == PROFILE


def test_a_source_that_breaks_off_leaves_no_file(tmp_path):
    def breaking():
        yield np.zeros((4, 8, 3), np.uint8)
        raise RuntimeError("broken")

    for format in ("png", "tiff", "jpg"):
        with pytest.raises(RuntimeError, match="broken"):
            write_strips(tmp_path / f"a.{format}", Strips(breaking(), 9, 8, 3, np.dtype(np.uint8)), format=format)
    assert not list(tmp_path.iterdir())


# Colour under alpha


@pytest.mark.parametrize("seed", range(60))
def test_colours_bleed_by_rows_as_they_do_as_a_whole(monkeypatch, seed):
    monkeypatch.setattr(bleeding, "ROWS", 16)
    generator = np.random.default_rng(seed)
    kind = (np.uint8, np.uint16, np.float32)[seed % 3]
    height, width, colors = generator.integers(1, 70), generator.integers(1, 70), generator.choice([1, 3])
    pixels = generator.random((height, width, colors + 1)) * (1 if kind is np.float32 else np.iinfo(kind).max)
    pixels = pixels.astype(kind)
    pixels[:, :, -1] *= generator.random((height, width)) < generator.choice([0, 0.01, 0.1, 0.9, 1])
    expected = np.dstack([bleed(pixels[:, :, :-1], pixels[:, :, -1]), pixels[:, :, -1]])
    by_rows = Bled(ArraySource(pixels))
    for _ in range(5):
        first = generator.integers(0, height)
        last = generator.integers(first + 1, height + 1)
        assert np.array_equal(by_rows.rows(first, last), expected[first:last])


# Reading


@pytest.fixture
def vips():
    return pytest.importorskip("pyvips", reason="reading by rows takes the extra large")


def assert_same_rows(rows, whole):
    height = len(pixels_of(whole))
    assert (rows.shape, rows.dtype, rows.depth) == (pixels_of(whole).shape, whole.color.dtype, whole.depth)
    assert (rows.format, rows.metadata, rows.is_transparent) == (whole.format, whole.metadata, whole.is_transparent)
    for step in (13, 13, height):  # each time from the top again
        parts = [rows.rows(top, min(top + step, height)) for top in range(0, height, step)]
        assert np.array_equal(np.concatenate(parts), pixels_of(whole))
    for top in range(0, height - 20, 9):  # with halos
        assert np.array_equal(rows.rows(top, top + 20), pixels_of(whole)[top : top + 20])
    assert np.array_equal(rows.rows(3, 7), pixels_of(whole)[3:7])


@pytest.mark.parametrize("at_once", [1, 2**24])
@pytest.mark.parametrize(("depth", "channels"), KINDS)
@pytest.mark.parametrize("format", ["png", "tiff"])
def test_a_file_read_by_rows_is_the_picture(vips, tmp_path, monkeypatch, format, depth, channels, at_once):
    monkeypatch.setattr(row_reading, "AT_ONCE", at_once)
    path = tmp_path / f"a.{format}"
    write_picture(path, picture_of(smooth(70, 90, channels, depth)), format=format)
    if (format, depth, channels) == ("tiff", 16, 2):  # Pillow does not know it
        with pytest.raises(DataError, match="no kind that is read by rows"):
            open_rows(path)
        return
    assert_same_rows(open_rows(path), read_picture(path))
    assert_same_rows(open_rows(path.read_bytes()), read_picture(path))


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("format", ["png", "jpeg", "tiff"])
def test_turned_files_are_read_by_rows_upright(vips, tmp_path, format, turn):
    path = tmp_path / f"a.{format}"
    image = Image.fromarray(smooth(70, 90, 3, 8))
    if format == "tiff":
        image.save(path, tiffinfo={0x0112: turn}, compression="tiff_lzw")
    else:
        image.save(path, exif=exif_of(turn), **({"subsampling": turn % 3} if format == "jpeg" else {}))
    assert_same_rows(open_rows(path), read_picture(path))


def palette(path):
    Image.fromarray(smooth(40, 40, 3, 8)).quantize(16).save(path)


def ink(path):
    Image.fromarray(smooth(40, 40, 4, 8), "CMYK").save(path, "TIFF")


def one_level_transparent(path):
    Image.fromarray(smooth(40, 40, 3, 8)).save(path, transparency=(1, 2, 3))


def animated(path):
    frames = [Image.fromarray(smooth(40, 40, 3, 8, seed)) for seed in range(2)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def pages(path):
    frames = [Image.fromarray(smooth(40, 40, 3, 8, seed)) for seed in range(2)]
    frames[0].save(path, "TIFF", save_all=True, append_images=frames[1:])


def white_is_zero(path):
    Image.fromarray(smooth(40, 40, 1, 8)[:, :, 0]).save(path, "TIFF", tiffinfo={262: 0})


def bits(path):
    Image.fromarray(smooth(40, 40, 1, 8)[:, :, 0]).convert("1").save(path)


def gif(path):
    Image.fromarray(smooth(40, 40, 1, 8)[:, :, 0]).save(path, "GIF")


def cut_off(path):
    Image.fromarray(smooth(200, 200, 3, 8)).save(path)
    path.write_bytes(path.read_bytes()[:-2000])


def bomb(path):
    Image.new("L", (4000, 4000)).save(path)


def nothing(path):
    path.write_bytes(b"")


@pytest.mark.parametrize(
    "kind",
    [palette, ink, one_level_transparent, animated, pages, white_is_zero, bits, gif, cut_off, bomb, nothing],
    ids=lambda kind: kind.__name__,
)
def test_what_cannot_be_read_by_rows_is_said(vips, tmp_path, kind):
    path = tmp_path / "a.png"
    kind(path)
    with pytest.raises(DataError) as problem:
        open_rows(path)
    assert "\n" not in str(problem.value)


def test_damage_is_found_while_rows_are_read(vips, tmp_path, capfd):
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)).save(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 200] = bytes(200)
    path.write_bytes(data)
    rows = open_rows(path)
    with pytest.raises(DataError, match="libvips"):
        list(rows.strips())
    assert capfd.readouterr() == ("", "")


def test_what_reading_takes_is_told_by_the_header(tmp_path):
    path = tmp_path / "a.png"
    write_picture(path, picture_of(smooth(300, 400, 3, 8)))
    demand, size = reading_bytes(path), path.stat().st_size
    assert demand == size + 300 * 400 * 3 * 4 and reading_bytes(path.read_bytes()) == demand - size
    assert reading_bytes(tmp_path / "none.png") is None and reading_bytes(b"no picture") is None
    write_picture(path, picture_of(smooth(300, 400, 3, 16)))
    assert reading_bytes(path) - path.stat().st_size == 300 * 400 * 6 * 3.5


# Enlarging


@pytest.fixture(scope="module")
def enlarging():
    return Upscaler("aether_tiny_x2", "torch", tile=48)


def limited(monkeypatch, bytes_, most=None):
    monkeypatch.setattr(upscaler, "available_memory", lambda limit: bytes_)
    free = upscaler.free_memory
    monkeypatch.setattr(
        upscaler,
        "free_memory",
        lambda device, limit: (bytes_ if most is None else most) if device == "cpu" else free(device),
    )


@pytest.mark.parametrize(("depth", "channels"), KINDS)
@pytest.mark.parametrize("is_opaque", [False, True])
def test_a_result_by_strips_is_that_in_memory(enlarging, tmp_path, monkeypatch, depth, channels, is_opaque):
    pixels = smooth(75, 60, channels, depth)
    if is_opaque and channels in (2, 4):
        pixels[:, :, -1] = np.iinfo(pixels.dtype).max
    path, whole, strips = (tmp_path / f"{name}.png" for name in ("a", "whole", "strips"))
    write_picture(path, picture_of(pixels))
    enlarging.file(path, whole)
    opened = read_picture(path)
    enlarging.save(enlarging.strips(opened), opened, strips, Saving())
    expected, found = read_picture(whole), read_picture(strips)
    assert np.array_equal(pixels_of(found), pixels_of(expected))
    assert found.metadata == expected.metadata and found.depth == expected.depth


@pytest.mark.parametrize(("depth", "channels"), KINDS)
@pytest.mark.parametrize("turn", [1, 6])
def test_a_file_by_rows_becomes_what_it_becomes_as_a_whole(
    vips, enlarging, tmp_path, monkeypatch, depth, channels, turn
):
    path, whole, rows = (tmp_path / f"{name}.png" for name in ("a", "whole", "rows"))
    metadata = replace(SAID, exif=exif_of(turn).tobytes()[6:])
    write_picture(path, picture_of(smooth(75, 60, channels, depth), metadata))
    enlarging.file(path, whole)
    limited(monkeypatch, 1)
    assert isinstance(enlarging.read(path), FileRows)
    enlarging.file(path, rows)
    expected, found = read_picture(whole), read_picture(rows)
    assert found.color.shape[:2] == ((150, 120) if turn == 1 else (120, 150))
    assert np.array_equal(pixels_of(found), pixels_of(expected))
    assert found.metadata == expected.metadata


@pytest.mark.parametrize("turn", [1, 8])
def test_passes_for_channel_attention_read_a_file_again_and_again(vips, tmp_path, turn):
    network = randomise(
        aether_custom(2, width=8, depths=(2, 2), kernel_size=3, channel_attention=True, spatial_attention=False)
    )
    session = TorchSession(network.eval().fuse_model())
    path = tmp_path / "a.png"
    metadata = replace(SAID, exif=exif_of(turn).tobytes()[6:])
    write_picture(path, picture_of(smooth(90, 75, 4, 16), metadata))
    halo = Halo(network.convolution_radius, True, True, "")
    windows, results = Windows(2, 3, halo, side=2 * halo.pixels + 20, passes=3), []
    for opened in (open_rows(path), read_picture(path)):
        report = Report()
        results.append(np.concatenate(list(enlarge(source_of(opened), session, windows, report))))
        assert report.passes == 3 and report.plan.count > 1
    assert np.array_equal(*results)


def test_memory_decides_how_a_picture_is_taken(vips, enlarging, tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    write_picture(path, picture_of(smooth(75, 60, 3, 8)))
    demand = reading_bytes(path)
    for available, kind in ((None, Picture), (demand, Picture), (demand - 1, FileRows)):
        limited(monkeypatch, available)
        assert isinstance(enlarging.read(path), kind)
    opened, result = read_picture(path), 75 * 60 * 4 * 3
    for available, kind in ((None, Picture), (4 * result, Picture), (4 * result - 1, Strips)):
        limited(monkeypatch, available)
        assert isinstance(enlarging.enlarged(opened), kind)


def test_a_limit_of_memory_counts_what_is_used():
    used = used_memory()
    assert used > 2**26  # Python with PyTorch
    assert available_memory(1) == free_memory("cpu", 1) == 0
    assert 0 <= free_memory("cpu", used + 2**30) <= 2**31


def test_memory_that_was_freed_counts_as_free():
    if not kept_memory():
        pytest.skip("a C library that does not say what it keeps")
    before = used_memory()
    blocks = [np.ones(2**13) for _ in range(2**11)]  # 128 MB in pieces that glibc keeps
    assert used_memory() - before > 2**26
    del blocks
    assert used_memory() - before < 2**26


@pytest.mark.parametrize(
    ("text", "number"), [("4G", 2**32), ("1.5G", 3 * 2**29), (".5G", 2**29), ("800M", 800 * 2**20)]
)
def test_the_command_takes_sizes_of_memory(text, number):
    assert byte_size(text) == number


@pytest.mark.parametrize("text", ["4", "0G", "-1G", "4GB", "1e9", "G", ""])
def test_what_is_no_size_of_memory_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match=r"4G, 1\.5G or 800M"):
        byte_size(text)


def test_windows_keep_to_the_limit(tmp_path):
    wide = Upscaler("aether_tiny_x2", "torch")
    narrow = Upscaler("aether_tiny_x2", "torch", memory=1)
    source = ArraySource(smooth(80, 100, 3, 8))
    expected, found = (np.concatenate(list(each.rows(source))) for each in (wide, narrow))
    assert wide.report.plan.count == 1 < narrow.report.plan.count
    assert np.abs(expected.astype(int) - found).max() <= 1  # ties that the order of sums decides


def test_what_cannot_be_read_by_rows_may_take_more_memory(enlarging, tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    palette(path)
    demand = reading_bytes(path)
    limited(monkeypatch, demand - 1, demand)
    assert isinstance(enlarging.read(path), Picture)
    limited(monkeypatch, demand - 1)
    with pytest.raises((DataError, MissingDependencyError)):
        enlarging.read(path)
    monkeypatch.setitem(sys.modules, "pyvips", None)
    write_picture(path, picture_of(smooth(75, 60, 3, 8)))
    demand = reading_bytes(path)
    limited(monkeypatch, demand - 1, demand)
    assert isinstance(enlarging.read(path), Picture)


def test_without_pyvips_the_extra_is_named(enlarging, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyvips", None)
    path = tmp_path / "a.png"
    write_picture(path, picture_of(smooth(75, 60, 3, 8)))
    limited(monkeypatch, 1)
    with pytest.raises(MissingDependencyError, match=r"GB of memory .*extra large.*pyvips\[binary\]"):
        enlarging.file(path, tmp_path / "b.png")
    monkeypatch.setattr("aethernet.data.picture.demand.MOST_PIXELS", 1)
    with pytest.raises(MissingDependencyError, match=r"268 megapixels .*extra large.*pyvips\[binary\]"):
        enlarging.file(path, tmp_path / "b.png")


def test_an_encoder_that_needs_too_much_memory_is_replaced_or_refused_before_work(enlarging, tmp_path, monkeypatch):
    picture = picture_of(smooth(75, 60, 3, 8), format="WEBP")
    limited(monkeypatch, 18 * 75 * 60 * 4 - 1)
    assert enlarging.output(picture, Saving()).format == "png"
    with pytest.raises(DataError, match="use png or tiff"):
        enlarging.output(picture, Saving("webp"))
    assert enlarging.output(picture, Saving("jpg")).format == "jpg"
    limited(monkeypatch, 18 * 75 * 60 * 4)
    assert enlarging.output(picture, Saving()).format == "webp"


def test_a_disk_that_refuses_is_an_output_error(enlarging, tmp_path, monkeypatch):
    opened = picture_of(smooth(20, 20, 3, 8))
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        enlarging.save(enlarging.strips(opened), opened, tmp_path / "taken" / "a.png", Saving())


# Memory itself, in processes of their own

OUT_OF_MEMORY = """
import resource, sys
from pathlib import Path
import numpy as np
from aethernet.upscale import Upscaler

img = np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), dtype=np.uint8)
expected = Upscaler("aether_tiny_x2", sys.argv[1], tile=200, threads=1)(img)
enlarging = Upscaler("aether_tiny_x2", sys.argv[1], tile=1000, threads=1)
held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + 300 * 2**20,) * 2)
found = enlarging(img)
assert all(np.abs(row.astype(int) - other).max() <= 1 for row, other in zip(found, expected))
assert any(note.startswith("out of memory: goes on") for note in enlarging.report.notes), enlarging.report
assert enlarging.report.plan.count > 1
"""
"""A layer of the whole picture takes 256 MB."""

WITHIN = """
import re, sys
from dataclasses import replace
from pathlib import Path
from aethernet.data.picture.reading import read_picture
from aethernet.upscale import Upscaler

class Nearest:
    engine, device = "torch", "cpu"

    def run(self, batch):
        return batch.repeat(2, 2).repeat(2, 3)

enlarging = Upscaler("aether_tiny_x2", "torch", memory=1_200_000_000)
enlarging.choice = replace(enlarging.choice, session=Nearest())
enlarging.file(*sys.argv[1:])
print(1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]))
"""


def run_alone(script, *arguments):
    if not sys.platform.startswith("linux"):
        pytest.skip("limits and figures of memory as Linux has them")
    done = subprocess.run([sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["torch", "onnxruntime"])
def test_out_of_memory_smaller_windows_give_the_same(engine):
    if engine == "onnxruntime":
        pytest.importorskip("onnxruntime", reason="ONNX Runtime is an extra")
        pytest.importorskip("onnxscript", reason="ONNX export is an extra")
    run_alone(OUT_OF_MEMORY, engine)


@pytest.mark.slow
@pytest.mark.parametrize("format", ["png", "tiff", "jpg"])
def test_the_limit_of_memory_is_kept(tmp_path, format):
    """The result has 590 MB, and takes more than twice that where it is put together."""
    block = smooth(100, 7000, 3, 8)
    source, target = tmp_path / f"a.{format}", tmp_path / f"b.{format}"
    strips = Strips((np.roll(block, top, 1) for top in range(70)), 7000, 7000, 3, block.dtype)
    write_strips(source, strips, format=format)
    assert int(run_alone(WITHIN, source, target)) < 1_200_000_000
    with open_header(target) as image:
        assert image.size == (14_000, 14_000)
