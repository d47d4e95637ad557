"""Picture files for tests, made by other code than the package's: of every kind, turned, with profiles, animated."""

import io
import struct
import zlib

import numpy as np
import tifffile
from PIL import Image, ImageCms

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}


def _display_p3() -> bytes:
    """sRGB's profile with the primaries of Display P3, adapted to D50."""
    profile = bytearray(SRGB)
    primaries = {
        b"rXYZ": (0.51512, 0.24120, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.15710, 0.06657, 0.78407),
    }
    for index in range(struct.unpack_from(">I", profile, 128)[0]):
        name, offset, _ = struct.unpack_from(">4sII", profile, 132 + 12 * index)
        if name in primaries:
            struct.pack_into(">3i", profile, offset + 8, *(round(value * 65536) for value in primaries[name]))
    return bytes(profile)


DISPLAY_P3 = _display_p3()
PROFILES = {"sRGB": SRGB, "Display P3": DISPLAY_P3, "none": None}


def cmyk_profile() -> bytes:
    """A tiny printer: a table of 2 x 2 x 2 x 2 inks to CIELAB in which pure cyan is a dark, dull blue."""
    corners = []
    for ink in range(16):
        cyan, magenta, yellow, black = (ink >> shift & 1 for shift in (3, 2, 1, 0))
        light = 255 - 140 * cyan - 60 * magenta - 10 * yellow
        corners += [0 if black else max(light, 0), 128 - 20 * cyan + 40 * magenta, 128 - 40 * cyan + 60 * yellow]
    ramp = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0])
    table += struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536) + 4 * ramp + bytes(corners) + 3 * ramp
    table += bytes(-len(table) % 4)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    text = b"desc" + bytes(4) + struct.pack(">I", 2) + b"a\0" + bytes(78)
    text += bytes(-len(text) % 4)
    tags, body, start = b"", b"", 128 + 4 + 12 * 3
    for name, content in ((b"A2B0", table), (b"wtpt", white), (b"desc", text)):
        tags += struct.pack(">4sII", name, start + len(body), len(content))
        body += content
    size = start + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"test", 0x02400000, b"prtr", b"CMYK", b"Lab ")
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + struct.pack(">I", 3) + tags + body


def exif(orientation: int, **more: str) -> bytes:
    """A TIFF block with an orientation, a camera, and an inner directory with the picture's size."""
    block = Image.Exif()
    block[0x0112] = orientation
    block[0x010F] = "Maker"
    inner = block.get_ifd(0x8769)
    inner[0xA002], inner[0xA003] = 9, 5
    inner[0x829A] = 0.01  # the time of exposure
    block[0x8769] = inner
    return block.tobytes().removeprefix(b"Exif\0\0")


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(samples: np.ndarray, *added: tuple[bytes, bytes]) -> bytes:
    """(H, W, 1 to 4) uint8 or uint16 as a PNG with these chunks before the pixels."""
    height, width, channels = samples.shape
    depth = 8 * samples.itemsize
    rows = b"".join(b"\0" + row.astype(f">u{samples.itemsize}").tobytes() for row in samples)
    head = struct.pack(">IIBBBBB", width, height, depth, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    middle = b"".join(chunk(*each) for each in added)
    pixels = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + middle + pixels


def described_png(samples: np.ndarray, orientation: int, icc: bytes | None) -> bytes:
    added = [(b"eXIf", exif(orientation)), (b"pHYs", struct.pack(">IIB", 11811, 11811, 1))]
    if icc is not None:
        added.append((b"iCCP", b"a\0\0" + zlib.compress(icc)))
    return png(samples, *added)


def encoded(image: Image.Image, kind: str, **how) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()


def cmyk(inks: np.ndarray) -> Image.Image:
    """(H, W, 4) uint8, 255 for full ink."""
    return Image.frombytes("CMYK", inks.shape[1::-1], inks.tobytes())


def tiff(samples: np.ndarray, orientation: int = 1, icc: bytes | None = None, **how) -> bytes:
    """(H, W, 1 to 4), by tifffile; of 2 or 4 channels the last is alpha."""
    channels = samples.shape[2]
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        samples[:, :, 0] if channels == 1 else samples,
        **{
            "photometric": "rgb" if channels > 2 else "minisblack",
            "planarconfig": "contig" if channels > 1 else None,
            "extrasamples": ["unassalpha"] if channels in (2, 4) else None,
        }
        | how,
        extratags=[(274, 3, 1, orientation, True), *([(34675, 7, len(icc), icc, True)] if icc else [])],
        metadata=None,
    )
    return buffer.getvalue()


def turned(img: np.ndarray, orientation: int) -> np.ndarray:
    """What is to be seen of (H, W[, C]) under an orientation of EXIF, by the words of its specification."""
    rows, columns = {
        1: ("top", "left"), 2: ("top", "right"), 3: ("bottom", "right"), 4: ("bottom", "left"),
        5: ("left", "top"), 6: ("right", "top"), 7: ("right", "bottom"), 8: ("left", "bottom"),
    }[orientation]  # fmt: skip
    # The 0th row lies on the side `rows`, the 0th column on the side `columns` of what is to be seen.
    if rows in ("left", "right"):
        img = img.swapaxes(0, 1)
        rows, columns = columns, rows
    if rows == "bottom":
        img = img[::-1]
    if columns == "right":
        img = img[:, ::-1]
    return img


def damaged(seed, sound):
    """A file that was cut, of which bits or bytes were changed, or of which a piece was lost, doubled or overwritten."""
    generator = np.random.default_rng(seed)
    data = bytearray(sound[seed % len(sound)])
    kind = seed // len(sound) % 6
    place, other = sorted(generator.integers(0, len(data), 2).tolist())
    if kind == 0:
        return bytes(data[:place])
    if kind == 1:
        for index in generator.integers(0, len(data), generator.integers(1, 20)):
            data[index] ^= 1 << generator.integers(0, 8)
    elif kind == 2:  # in the header
        for index in generator.integers(0, min(len(data), 200), 4):
            data[index] = generator.integers(0, 256)
    elif kind == 3:
        del data[place : min(other, place + 40)]
    elif kind == 4:
        data[place:other] = generator.bytes(other - place)
    else:
        data[place:place] = data[place:other]
    return bytes(data)
