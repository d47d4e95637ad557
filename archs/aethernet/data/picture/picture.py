"""What a picture is in memory: its samples, and what its file says about them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from aethernet.data.picture.color import space_of
from aethernet.errors import DataError


@dataclass(frozen=True)
class Metadata:
    """What a file says beside its pixels, true of the upright picture.

    `icc` is the colour profile, bit for bit; `exif` the TIFF block alone, its orientation reset to 1 and its thumbnail
    unlinked; `xmp` the packet, its orientation reset; `dpi` dots per inch (horizontal, vertical); `png_color` the chunks of
    a PNG that say what its colours mean, as (type, content); `is_lossless` whether a WebP holds its pixels without loss.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    png_color: tuple[tuple[bytes, bytes], ...] = ()
    is_lossless: bool = False


NOTHING = Metadata()


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture, upright.

    `color` is (H, W, 3) RGB or (H, W, 1) grey; `alpha` is (H, W) of the same type, 0 where nothing shows, or None where the
    file has none. Both are uint8, uint16 (0 to 65535) or float32 in [0, 1]; colour is not multiplied by alpha.

    `depth` is 8 or 16, the bits of a sample in the file; `format` is Pillow's name of the file's format, such as "PNG".
    `notices` tell what had to be done to the colours, such as "CMYK made RGB".
    """

    color: np.ndarray
    alpha: np.ndarray | None = None
    depth: int = 8
    format: str = "PNG"
    metadata: Metadata = NOTHING
    notices: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.color.shape[1], self.color.shape[0]

    @property
    def is_transparent(self) -> bool:
        """Whether any pixel lets something through; an alpha channel that is opaque everywhere does not count."""
        if self.alpha is None:
            return False
        return bool(self.alpha.min() < (1 if self.alpha.dtype.kind == "f" else np.iinfo(self.alpha.dtype).max))


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of an animation, complete by itself, and how long it shows."""

    picture: Picture
    milliseconds: float


@dataclass(frozen=True, eq=False)
class Animation:
    """An animated file. Iterating over it decodes one frame after the other, anew each time; none is kept.

    `frames` is their number, `size` is (width, height), `plays` how often the whole is shown, 0 for without end. The rest
    is as in `Picture`. Iterating raises `DataError` where a frame is damaged.
    """

    size: tuple[int, int]
    frames: int
    plays: int
    format: str
    decode: Callable[[], Iterator[Frame]] = field(repr=False)
    metadata: Metadata = NOTHING

    def __iter__(self) -> Iterator[Frame]:
        return self.decode()


def from_samples(samples: np.ndarray, metadata: Metadata, format: str, notices: tuple[str, ...] = ()) -> Picture:
    """A picture from (H, W[, 1 to 4]), grey or RGB, alpha last if there is any; its arrays are its own.

    Raises:
        DataError: the samples are not uint8 or uint16, or there are more channels.
    """
    if samples.dtype not in (np.uint8, np.uint16):
        raise DataError(f"it holds {samples.dtype} samples: convert it to 8 or 16 bits a channel")
    samples = samples.reshape(*samples.shape[:2], -1)
    channels = samples.shape[2]
    if channels not in (1, 2, 3, 4):
        raise DataError(f"it has {channels} channels: 1 to 4 can be used")
    colors = 1 if channels <= 2 else 3
    return Picture(
        color=_own(samples[:, :, :colors]),
        alpha=_own(samples[:, :, colors]) if colors < channels else None,
        depth=8 * samples.dtype.itemsize,
        format=format,
        metadata=with_usable_profile(metadata, channels),
        notices=notices,
    )


def with_usable_profile(metadata: Metadata, channels: int) -> Metadata:
    """Without the profile, where it is of another space than the pixels: nobody can use it."""
    usable = ("grey", "RGB") if channels <= 2 else ("RGB",)  # grey with one of RGB is common
    return metadata if space_of(metadata.icc) in usable else replace(metadata, icc=None)


def _own(img: np.ndarray) -> np.ndarray:
    """Contiguous and writable."""
    return np.require(img, requirements=["C", "W"])
