"""Colour profiles (ICC): what space one describes, and pictures brought into sRGB through one, by littlecms."""

import io

from PIL import Image

INTENT = 1  # relative colorimetric, what image editors take; a number, as older releases of Pillow have no enumeration
BLACK_POINT_COMPENSATION = 0x2000

SPACES = {b"RGB ": "RGB", b"GRAY": "grey", b"CMYK": "CMYK"}


def space_of(icc: bytes | None) -> str | None:
    """ "RGB", "grey" or "CMYK"; None for no profile, a damaged one, or one of another space."""
    if icc is None or len(icc) < 128 or icc[36:40] != b"acsp":
        return None
    return SPACES.get(icc[16:20])


def to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """A CMYK or grey image as RGB: in sRGB where its profile can be used, else plainly."""
    if space_of(icc) == {"CMYK": "CMYK", "L": "grey"}.get(image.mode):
        try:
            from PIL import ImageCms

            converted = ImageCms.profileToProfile(
                image,
                ImageCms.ImageCmsProfile(io.BytesIO(icc or b"")),
                ImageCms.createProfile("sRGB"),
                renderingIntent=INTENT,  # type: ignore[arg-type]
                outputMode="RGB",
                flags=BLACK_POINT_COMPENSATION,  # type: ignore[arg-type]
            )
        except (ImportError, OSError, ValueError, TypeError):  # a build without littlecms, or a damaged profile
            converted = None
        except Exception as error:
            if type(error).__name__ != "PyCMSError":
                raise
            converted = None
        if converted is not None:
            return converted
    return image.convert("RGB")
