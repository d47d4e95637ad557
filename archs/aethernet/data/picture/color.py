"""Colour profiles (ICC): what space one describes, and pictures brought into sRGB through one, by littlecms."""

import contextlib
import io

from PIL import Image, ImageCms

SPACES = {b"RGB ": "RGB", b"GRAY": "grey", b"CMYK": "CMYK"}


def space_of(icc: bytes | None) -> str | None:
    """ "RGB", "grey" or "CMYK"; None for no profile, a damaged one, or one of another space."""
    if icc is None or len(icc) < 128 or icc[36:40] != b"acsp":
        return None
    return SPACES.get(icc[16:20])


def to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """A CMYK or grey image as RGB: in sRGB where its profile can be used, else plainly."""
    if icc is not None and space_of(icc) == {"CMYK": "CMYK", "L": "grey"}.get(image.mode):
        with contextlib.suppress(ImageCms.PyCMSError, ImportError):  # a damaged profile, a build without littlecms
            converted = ImageCms.profileToProfile(
                image,
                ImageCms.ImageCmsProfile(io.BytesIO(icc)),
                ImageCms.createProfile("sRGB"),
                renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,  # this and the next as image editors do
                outputMode="RGB",
                flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
            if converted is not None:
                return converted
    return image.convert("RGB")
