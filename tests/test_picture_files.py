"""Picture files as they are: bits, channels, alpha, profile, EXIF and resolution come through reading and writing unchanged."""

import io
import itertools
import struct
import sys

import cv2
import numpy as np
import pytest
import tifffile
from helpers import picture_files as make
from PIL import Image, features

from aethernet.data.picture import png, webp
from aethernet.data.picture.animation_writing import write_animation
from aethernet.data.picture.decoding import ENDINGS
from aethernet.data.picture.decoding import FORMATS as READ
from aethernet.data.picture.depth import as_depth
from aethernet.data.picture.formats import FORMATS, output_format
from aethernet.data.picture.picture import Animation, Metadata, Picture
from aethernet.data.picture.reading import read_picture
from aethernet.data.picture.writing import write_picture
from aethernet.errors import DataError, UsageError
from aethernet.upscale.outputs import WRITTEN

KINDS = ("L", "LA", "RGB", "RGBA", "P", "CMYK")
NO_AVIF = "avif" not in features.get_supported()


def samples(kind, depth, height=5, width=9):
    """(H, W, C) of smooth colours, alpha from 0 to opaque."""
    y, x = np.mgrid[:height, :width]
    planes = [20 * x + 7 * y, 30 * y + 11 * x, 255 - 15 * x - 9 * y, 255 * x // (width - 1)]
    chosen = {"L": (0,), "LA": (0, 3), "RGB": (0, 1, 2), "RGBA": (0, 1, 2, 3)}[kind]
    img = np.stack([planes[index] for index in chosen], axis=2).clip(0, 255)
    return (
        img.astype(np.uint8)
        if depth == 8
        else (img * 257 + 91 * (x + y)[:, :, None] % 257).clip(0, 65535).astype(np.uint16)
    )


def sources(kind, depth, orientation, icc):
    """(name, file, the samples that are to be seen) for each file format that can hold it."""
    if kind == "P":
        if depth == 16:
            return
        image = Image.fromarray(samples("RGB", 8)).quantize(32)
        expected = np.asarray(image.convert("RGB"))
        described = {"exif": make.exif(orientation), "dpi": (300, 300), "icc_profile": icc}
        yield "png", make.encoded(image, "PNG", **described), make.turned(expected, orientation)
    elif kind == "CMYK":
        inks = samples("RGBA", depth)
        if depth == 16:
            data = make.tiff(inks, orientation, icc, photometric="separated", extrasamples=None)
            inks = (inks >> 8).astype(np.uint8)
        else:
            how = {"dpi": (300, 300), "icc_profile": icc}
            data = make.encoded(make.cmyk(inks), "TIFF", exif=make.exif(orientation), **how)
        expected = np.asarray(make.cmyk(inks).convert("RGB"))
        yield "tiff", data, make.turned(expected, orientation)
    else:
        img = samples(kind, depth)
        yield "png", make.described_png(img, orientation, icc), make.turned(img, orientation)
        for compression in (None, "zlib"):
            yield "tiff", make.tiff(img, orientation, icc, compression=compression), make.turned(img, orientation)


def raw(data, form):
    """(H, W, C) and Pillow's image, by readers that know nothing of the package."""
    image = Image.open(io.BytesIO(data)) if form != "tiff" or not two_deep(data) else None
    if form == "tiff":
        img = tifffile.imread(io.BytesIO(data))
    elif form == "png" and data[24] == 16:
        img = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if img.ndim == 3:
            img = img[:, :, [2, 1, 0, 3][: img.shape[2]]]
        if data[25] == 4:
            img = img[:, :, 2:]
    else:
        img = np.asarray(image)
    return img.reshape(*img.shape[:2], -1), image


def two_deep(data):
    """Whether a TIFF is 16-bit grey with alpha, which Pillow does not open."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        return page.samplesperpixel == 2 and page.bitspersample == 16


def joined(picture):
    return picture.color if picture.alpha is None else np.dstack([picture.color, picture.alpha])


def enlarged(picture):
    """Every pixel as 2 x 2, as if it came from a network."""
    double = [None if plane is None else plane.repeat(2, 0).repeat(2, 1) for plane in (picture.color, picture.alpha)]
    return Picture(*double, picture.depth, picture.format, picture.metadata)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("depth", [8, 16])
def test_every_kind_is_read_enlarged_and_written(kind, depth):
    for orientation, (profile, icc) in itertools.product(range(1, 9), make.PROFILES.items()):
        for source, data, expected in sources(kind, depth, orientation, icc):
            case = f"{source} {kind} {depth} {orientation} {profile}"
            picture = read_picture(data)
            np.testing.assert_array_equal(joined(picture), expected, err_msg=case)
            kept = None if kind == "CMYK" else icc
            assert picture.metadata.icc == kept, case
            assert picture.depth == (8 if kind == "CMYK" else depth), case
            assert picture.format == source.upper(), case
            big = expected.repeat(2, 0).repeat(2, 1)
            for form in FORMATS:
                if form == "gif" or (form == "avif" and (NO_AVIF or orientation not in (1, 6) or profile == "sRGB")):
                    continue
                check_written(enlarged(picture), form, big, kept, f"{case} to {form}")


def check_written(picture, form, expected, icc, case):
    file = io.BytesIO()
    if form == "jpg" and picture.alpha is not None:
        with pytest.raises(DataError, match=r"^JPEG holds no transparency: use png or "):
            write_picture(file, picture, format=form)
        return
    notices = write_picture(file, picture, format=form, quality=100)
    assert bool(notices) == (picture.depth == 16 and not FORMATS[form].deep), (case, notices)
    img, image = raw(file.getvalue(), form)
    if form in ("png", "tiff"):
        assert img.dtype == expected.dtype, case
        np.testing.assert_array_equal(img, expected, err_msg=case)
    else:
        eight = expected if expected.dtype == np.uint8 else (expected / 257).round()
        if img.shape[2] > eight.shape[2]:  # grey is held as colour
            eight = np.dstack([eight[:, :, :1]] * 3 + [eight[:, :, 1:]])
        # Without loss, or what the quantisation of JPEG and AVIF at quality 100 and their YCbCr cost.
        assert np.abs(img - eight.astype(float)).max() <= {"webp": 0, "jpg": 3, "avif": 6}[form], case
    if image is None:
        return
    assert image.info.get("icc_profile") == icc, case
    found = image.getexif()
    assert found.get(0x0112, 1) == 1, case
    if picture.metadata.exif:
        said = Image.Exif()
        said.load(b"Exif\0\0" + picture.metadata.exif)
        assert {tag: found.get(tag) for tag in said if tag not in (0x0112, 0x8769)} == {
            tag: said[tag] for tag in said if tag not in (0x0112, 0x8769)
        }, case
        inner, expected_inner = found.get_ifd(0x8769), said.get_ifd(0x8769)
        if expected_inner:
            assert inner == dict(expected_inner) | {0xA002: image.size[0], 0xA003: image.size[1]}, case
    if picture.metadata.dpi and form in ("png", "jpg", "tiff"):
        assert image.info["dpi"] == pytest.approx(picture.metadata.dpi, abs=0.02), case


def test_a_camera_block_is_kept_bit_for_bit_but_for_what_is_no_longer_true():
    block = make.exif(6)
    data = make.png(samples("RGB", 8), (b"eXIf", block))
    kept = read_picture(data).metadata.exif
    assert len(kept) == len(block)
    differing = [index for index in range(len(block)) if kept[index] != block[index]]
    assert len(differing) == 1  # the low byte of the orientation


def test_a_thumbnail_of_the_picture_as_it_was_is_unlinked():
    with_thumbnail = bytearray(make.exif(1))
    assert with_thumbnail[:2] == b"MM"
    end = int.from_bytes(with_thumbnail[4:8], "big")
    end += 2 + 12 * int.from_bytes(with_thumbnail[end : end + 2], "big")
    with_thumbnail[end : end + 4] = len(with_thumbnail).to_bytes(4, "big")
    with_thumbnail += bytes(6)  # an empty directory
    kept = read_picture(make.png(samples("RGB", 8), (b"eXIf", bytes(with_thumbnail)))).metadata.exif
    assert kept[end : end + 4] == bytes(4)


@pytest.mark.parametrize(
    "block", [b"", b"II", b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff", b"nonsense"]
)
def test_damaged_exif_is_left_out(block):
    picture = read_picture(make.png(samples("RGB", 8), (b"eXIf", block)))
    assert picture.metadata.exif is None
    np.testing.assert_array_equal(picture.color, samples("RGB", 8))


def test_xmp_travels_and_turns_nothing():
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6" dc:title="a"/></x:xmpmeta>'
    data = make.png(samples("RGB", 8), (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet))
    picture = read_picture(data)
    assert picture.size == (9, 5)
    upright = packet.replace(b"6", b"1", 1)
    assert picture.metadata.xmp == upright
    for form in ("png", "jpg", "webp", "tiff"):
        file = io.BytesIO()
        write_picture(file, picture, format=form)
        again = read_picture(file.getvalue())
        assert again.metadata.xmp == upright, form
        assert again.size == (9, 5), form


def test_what_a_png_says_of_its_colours_travels():
    said = ((b"gAMA", (100_000).to_bytes(4, "big")), (b"cICP", bytes([12, 13, 0, 1])))
    for depth in (8, 16):
        file = io.BytesIO()
        write_picture(file, read_picture(make.png(samples("RGB", depth), *said)))
        assert read_picture(file.getvalue()).metadata.png_color == said


def test_ink_becomes_colour_through_its_profile():
    inks = np.zeros((4, 4, 4), np.uint8)
    inks[:, :2, 0] = 255  # pure cyan beside bare paper
    image = make.cmyk(inks)
    with_profile = read_picture(make.encoded(image, "TIFF", icc_profile=make.cmyk_profile()))
    plain = read_picture(make.encoded(image, "TIFF"))
    assert with_profile.notices == ("CMYK made RGB through its colour profile",)
    assert plain.notices == ("CMYK made RGB without a profile",)
    assert with_profile.metadata.icc is None  # sRGB now
    np.testing.assert_array_equal(plain.color[0, [0, 3]], [[0, 255, 255], [255, 255, 255]])
    cyan, paper = with_profile.color[0, [0, 3]].astype(int)
    assert paper.min() >= 250
    assert cyan[0] < 60 and 90 < cyan[1] < 160 and 140 < cyan[2] < 220  # what CIELAB (45, -20, -40) looks like


def test_what_is_left_out_is_told():
    first, second = (Image.new("RGB", (8, 8), color) for color in ("red", "blue"))
    phone = read_picture(make.encoded(first, "MPO", save_all=True, append_images=[second]))
    assert phone.format == "JPEG" and phone.size == (8, 8)
    assert phone.notices == ("the further pictures in the file (a gain map, another view) left out",)
    deep = make.tiff(samples("RGBA", 16), photometric="separated", extrasamples=None)
    assert read_picture(deep).notices == ("CMYK made RGB without a profile", "its 16 bits made 8")


def test_what_the_sources_format_cannot_hold_is_written_under_another_name_only():
    with pytest.raises(DataError, match=r"^BMP is not written, the result is a PNG: ask for it, format png$"):
        write_picture(io.BytesIO(), read_picture(make.encoded(Image.new("L", (3, 3)), "BMP")))
    with pytest.raises(DataError, match=r"^JPEG holds 8 bits a sample, the result is a PNG: ask for it, format png$"):
        write_picture(io.BytesIO(), Picture(samples("RGB", 8), format="JPEG"), depth=16)


def test_a_damaged_profile_of_inks_is_passed_over():
    profile = make.cmyk_profile()[:200].ljust(300, b"\xff")
    picture = read_picture(make.encoded(Image.new("CMYK", (3, 3)), "TIFF", icc_profile=profile))
    assert (picture.color == 255).all()


@pytest.mark.parametrize("kind", ["1", "P"])
def test_grey_in_other_clothes_is_grey(kind):
    grey = Image.fromarray(samples("L", 8)[:, :, 0])
    image = grey.convert("1") if kind == "1" else grey.quantize(256)
    picture = read_picture(make.encoded(image, "PNG"))
    np.testing.assert_array_equal(picture.color[:, :, 0], np.asarray(image.convert("L")))
    assert picture.color.shape[2] == 1


def test_transparency_without_an_alpha_channel():
    palette = Image.fromarray(samples("RGB", 8)).quantize(8)
    palette.info["transparency"] = bytes([0, 128])
    picture = read_picture(make.encoded(palette, "PNG"))
    places = np.asarray(palette)
    np.testing.assert_array_equal(picture.alpha, np.select([places == 0, places == 1], [0, 128], 255))
    for depth in (8, 16):
        color = samples("RGB", depth)
        level = color[2, 3].astype(">u2").tobytes()
        picture = read_picture(make.png(color, (b"tRNS", level)))
        expected = np.where((color == color[2, 3]).all(axis=2), 0, 2**depth - 1)
        np.testing.assert_array_equal(picture.alpha, expected)
        np.testing.assert_array_equal(picture.color, color)
        grey = samples("L", depth)
        picture = read_picture(make.png(grey, (b"tRNS", grey[2, 3].astype(">u2").tobytes())))
        np.testing.assert_array_equal(picture.alpha, np.where(grey == grey[2, 3], 0, 2**depth - 1)[:, :, 0])
        np.testing.assert_array_equal(picture.color, grey)


def test_tiff_of_unusual_forms():
    deep = samples("RGBA", 16)
    planes = make.tiff(
        np.ascontiguousarray(np.moveaxis(deep[:, :, :3], 2, 0))[:, :, :], photometric="rgb", planarconfig="separate"
    )
    np.testing.assert_array_equal(read_picture(planes).color, deep[:, :, :3])
    multiplied = deep.copy()
    multiplied[:, :, :3] = (deep[:, :, :3] * (deep[:, :, 3:] / 65535)).round()
    picture = read_picture(make.tiff(multiplied, extrasamples=["assocalpha"]))
    half = deep[:, :, 3] > 32768
    assert np.abs(picture.color.astype(int) - deep[:, :, :3])[half].max() <= 1
    nothing = read_picture(make.tiff(deep, extrasamples=["unspecified"]))
    assert nothing.alpha is None
    inverted = read_picture(make.tiff(deep[:, :, :1], photometric="miniswhite"))
    np.testing.assert_array_equal(inverted.color, 65535 - deep[:, :, :1])


@pytest.mark.parametrize("sample", ["float32", "int16", "uint32"])
def test_samples_of_other_types_are_refused(sample):
    file = io.BytesIO()
    tifffile.imwrite(file, np.ones((4, 4), sample))
    with pytest.raises(DataError, match=r"8 (or|nor) 16 bits"):
        read_picture(file.getvalue())


def test_pages_are_refused_but_small_versions_of_the_picture_are_none():
    pages = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    data = make.encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    with pytest.raises(DataError, match=r"^the TIFF file holds 2 pages: split it"):
        read_picture(data)
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(np.full((8, 8), 7, np.uint8))
        writer.write(np.zeros((4, 4), np.uint8), subfiletype=1)
    assert (read_picture(file.getvalue()).color == 7).all()


def test_the_endings_are_those_that_pillow_knows():
    """Of the formats that are read; what lies in a folder under another one is passed over."""
    Image.init()
    known = {ending for ending, name in Image.registered_extensions().items() if name in READ}
    assert known - {".pfm"} <= ENDINGS, "PFM holds floats"
    assert {WRITTEN[ending] for ending in WRITTEN} == set(FORMATS) and WRITTEN.keys() <= ENDINGS


def test_icons_and_sun_rasters_are_read():
    img = Image.fromarray(samples("RGBA", 8, 16, 16))
    np.testing.assert_array_equal(
        read_picture(make.encoded(img, "ICO", sizes=[(16, 16)])).color, np.asarray(img)[:, :, :3]
    )
    header = struct.pack(">8I", 0x59A66A95, 4, 2, 24, 24, 1, 0, 0)
    assert (read_picture(header + bytes(range(24))).color[:, :, 2] == np.arange(0, 24, 3).reshape(2, 4)).all()


def test_floats_are_no_samples():
    """Pillow would clip those of a PFM, from 0 to 1, to black."""
    with pytest.raises(DataError, match="samples of 32 bits: convert it"):
        read_picture(b"Pf\n4 2\n-1.0\n" + np.full(8, 0.5, np.float32).tobytes())


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("alpha", [False, True])
def test_webp_without_loss_stays_so(frames, alpha):
    """Unless a quality is given; with loss it stays as well."""
    images = [Image.fromarray(samples("RGBA" if alpha else "RGB", 8) // number) for number in range(1, frames + 1)]
    more = {"save_all": True, "append_images": images[1:]} if frames > 1 else {}

    def kept(data: bytes, **how) -> bool:
        picture, file = read_picture(data), io.BytesIO()
        if isinstance(picture, Animation):
            write_animation(file, picture, picture, **how)
        else:
            write_picture(file, picture, **how)
        return webp.is_lossless(file.getvalue())

    exact, lossy = (make.encoded(images[0], "WEBP", lossless=lossless, **more) for lossless in (True, False))
    assert kept(exact) and not kept(exact, quality=90) and not kept(lossy) and kept(lossy, quality=100)
    assert not kept(make.encoded(images[0], "PNG", **more), format="webp")


def test_the_content_counts_not_the_ending(tmp_path):
    Image.fromarray(samples("RGB", 8)).save(tmp_path / "a.webp", "PNG")
    picture = read_picture(tmp_path / "a.webp")
    assert picture.format == "PNG"
    np.testing.assert_array_equal(picture.color, samples("RGB", 8))


def test_floats_are_written_to_the_nearest_level():
    color = np.linspace(-0.1, 1.1, 60, dtype=np.float32).reshape(4, 5, 3)
    for depth in (8, 16):
        file = io.BytesIO()
        write_picture(file, Picture(color, depth=depth))
        expected = np.rint(color.clip(0, 1).astype(np.float64) * (2**depth - 1))
        np.testing.assert_allclose(read_picture(file.getvalue()).color, expected, atol=0.5)


def test_every_level_of_16_bits_becomes_the_nearest_of_8():
    levels = np.arange(65536, dtype=np.uint16)[:, None]
    np.testing.assert_array_equal(as_depth(levels, 8), np.rint(levels / 257))
    np.testing.assert_array_equal(as_depth(as_depth(levels, 8), 16), np.rint(levels / 257) * 257)


def test_nothing_is_left_of_a_file_that_cannot_be_written(tmp_path, monkeypatch):
    picture = Picture(samples("RGBA", 8)[:, :, :3], samples("RGBA", 8)[:, :, 3])
    (tmp_path / "a.jpg").write_bytes(b"old")
    with pytest.raises(DataError, match="transparency"):
        write_picture(tmp_path / "a.jpg", picture, format="jpg")
    monkeypatch.setattr("PIL.WebPImagePlugin._webp.WebPEncode", lambda *_: None)
    with pytest.raises(DataError, match=r"^Pillow cannot write it as webp: cannot write file as WebP"):
        write_picture(tmp_path / "a.jpg", Picture(samples("RGB", 8)), format="webp")
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"]
    assert (tmp_path / "a.jpg").read_bytes() == b"old"


def test_what_a_jpeg_has_no_room_for_is_told():
    long = Metadata(exif=make.exif(1) + bytes(70_000), xmp=b"<x/>" + b" " * 70_000)
    notices = write_picture(io.BytesIO(), Picture(samples("RGB", 8), metadata=long), format="jpg")
    assert [notice.split(" ")[0] for notice in notices] == ["EXIF", "XMP"]


@pytest.mark.parametrize("quality", [0, 101, True, 9.5])
def test_a_quality_that_is_none(quality):
    with pytest.raises(UsageError, match="quality must be a whole number from 1 to 100"):
        write_picture(io.BytesIO(), Picture(samples("RGB", 8)), format="jpg", quality=quality)


def test_16_bit_colour_is_written_without_opencv(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    for kind, form in itertools.product(make.CHANNELS, ("png", "tiff")):
        img = samples(kind, 16)
        alpha = img[:, :, -1] if kind.endswith("A") else None
        write_picture(io.BytesIO(), Picture(img[:, :, : 1 if kind[0] == "L" else 3], alpha, 16), format=form)


def test_the_format_is_settled_before_any_work():
    big = (70_000, 400)
    assert output_format((10, 10), source="JPEG") == output_format((10, 10), source="MPO")
    assert (
        output_format((10, 10), source="TIFF", source_depth=16).depth,
        output_format((9, 9), source="TIFF").suffix,
    ) == (16, ".tiff")
    for source, size, name in (("JPEG", big, "JPEG"), ("WEBP", (16_384, 4), "WebP"), ("AVIF", (40_000, 4), "AVIF")):
        replaced = output_format(size, source=source)
        assert replaced.format == "png" and replaced.notice.startswith(f"{name} holds at most"), replaced
        with pytest.raises(
            DataError, match=rf"^{name} holds at most .* a side, and the result has .*: use png or .*tiff"
        ):
            output_format(size, source="PNG", format=replaced.notice.split(" ")[0].lower().replace("jpeg", "jpg"))
    assert output_format((9, 9), source="JPEG", alpha=True).notice == "JPEG holds no transparency, the result is a PNG"
    assert output_format((9, 9), source="BMP").notice == "BMP is not written, the result is a PNG"
    assert output_format((9, 9), source="GIF").notice.startswith("GIF is for animations")
    deep = output_format((9, 9), source="PNG", source_depth=16, format="webp")
    assert deep.depth == 8 and deep.notice == "WebP holds 8 bits a sample: the source's 16 become 8"
    with pytest.raises(DataError, match=r"^JPEG holds 8 bits a sample: use png or tiff$"):
        output_format((9, 9), source="PNG", format="jpg", depth=16)
    assert output_format((9, 9), source="JPEG", depth=16).format == "png"
    with pytest.raises(UsageError, match=r"^format must be one of same, png, .*, not 'bmp'$"):
        output_format((9, 9), source="PNG", format="bmp")
    for form in ("jpg", "tiff"):
        with pytest.raises(DataError, match=r"holds no animation: use png or webp or avif or gif$"):
            output_format((9, 9), source="GIF", frames=3, format=form)
    with pytest.raises(DataError, match="animations are written with 8 bits a sample"):
        output_format((9, 9), source="PNG", frames=2, depth=16)
    with pytest.raises(DataError, match=r"megapixels that an animation may have"):
        output_format((4000, 4000), source="GIF", frames=100)


@pytest.mark.parametrize("missing", [(), ("isal",)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_rows_come_back_whatever_packs_them(monkeypatch, missing, channels, dtype):
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    samples = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (37, 29, channels), dtype, endpoint=True)
    strips = [samples[:1], samples[1:20], samples[20:]]
    data = b"".join(png.encode(strips, samples.shape, 8 * samples.dtype.itemsize, []))
    picture = read_picture(data)
    colors = 1 if channels < 3 else 3
    np.testing.assert_array_equal(picture.color, samples[:, :, :colors])
    if channels in (2, 4):
        np.testing.assert_array_equal(picture.alpha, samples[:, :, -1])
