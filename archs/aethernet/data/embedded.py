"""The real photographs that the scikit-image wheel ships, as a small training and validation set.

They are read from the installed wheel and never downloaded, so demos and tests have real pictures on any machine.
Validation pictures are never used for training. `motorcycle_right` is left out: it shows what `motorcycle_left`
shows.
"""

import importlib.util
import json
import logging
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aethernet.checks import is_whole
from aethernet.data.bicubic import bicubic_downsample, modcrop
from aethernet.data.pictures import read_rgb, write_png
from aethernet.errors import DataError, MissingDependencyError, OutputError, UsageError
from aethernet.files import write_text
from aethernet.wording import how_many

logger = logging.getLogger(__name__)

MARKER = "embedded.json"
"""Stands in a folder that `write_embedded` made: the scales, and each file with its size once all are written."""

HR_MULTIPLE = 12  # as in BasicSR's GTmod12 sets: one HR picture serves the scales 2, 3, 4 and 6


@dataclass(frozen=True, kw_only=True)
class Picture:
    """One photograph of the wheel.

    `crop` is (top, left, height, width) in pixels of the file; `shrink` then divides both sides, for files that
    are blurred or compressed at full size.
    """

    name: str
    file: str
    split: str
    shows: str
    source: str
    crop: tuple[int, int, int, int] | None = None
    shrink: int = 1


CC0 = "CC0 by the photographer"
PICTURES = (
    Picture(name="motorcycle", file="motorcycle_left.png", split="train", shows="a motorcycle in a garage",
            source="Middlebury Stereo 2014 (Scharstein et al., GCPR 2014); shipped by scikit-image, no licence stated"),
    Picture(name="ihc", file="ihc.png", split="train", shows="stained tissue under a microscope",
            source="Center for Microscopy and Molecular Imaging (CMMI); no known copyright restrictions"),
    Picture(name="hubble", file="hubble_deep_field.jpg", split="train", shows="galaxies on black",
            source="NASA, Hubble eXtreme Deep Field; public domain"),
    Picture(name="retina", file="retina.jpg", split="train", shows="blood vessels of an eye",
            source="Mikael Haggstrom, doi 10.15347/wjm/2014.008; CC0", shrink=2),
    Picture(name="camera", file="camera.png", split="train", shows="a photographer and buildings, grey",
            source=f"Lav Varshney; {CC0}"),
    Picture(name="brick", file="brick.png", split="train", shows="a brick wall, grey",
            source="CC0Textures Bricks25; CC0"),
    Picture(name="grass", file="grass.png", split="train", shows="grass, grey", source="linolafett, DeviantArt; CC0"),
    Picture(name="gravel", file="gravel.png", split="train", shows="gravel, grey", source="CC0Textures Gravel04; CC0"),
    Picture(name="coins", file="coins.png", split="train", shows="Greek coins, grey",
            source="Brooklyn Museum Collection 51611; no known copyright restrictions"),
    Picture(name="moon", file="moon.png", split="train", shows="the surface of the moon, grey",
            source="shipped by scikit-image, no licence stated"),
    Picture(name="page", file="page.png", split="train", shows="a scanned page of text, grey",
            source="shipped by scikit-image, no licence stated"),
    Picture(name="astronaut", file="astronaut.png", split="val", shows="a face, a flag and a suit",
            source="NASA Great Images; public domain", crop=(0, 0, 288, 384)),
    Picture(name="chelsea", file="chelsea.png", split="val", shows="a cat's fur and whiskers",
            source=f"Stefan van der Walt; {CC0}"),
    Picture(name="coffee", file="coffee.png", split="val", shows="a cup on wood", source=f"Rachel Michetti; {CC0}"),
    Picture(name="rocket", file="rocket.jpg", split="val", shows="lattice towers at dusk",
            source="SpaceX; released into the public domain"),
)  # fmt: skip
"""Every picture of the set. Grey files become RGB with three equal channels."""

SPLITS = ("train", "val")


def embedded_pictures(split: str) -> dict[str, np.ndarray]:
    """The pictures of `train` or `val` by name: (H, W, 3) RGB uint8, between 191 and 1000 pixels a side.

    Raises:
        UsageError: another split.
        MissingDependencyError: scikit-image is not installed, or its wheel lacks a file.
    """
    if split not in SPLITS:
        raise UsageError(f"split is {split!r}: the embedded pictures have {' and '.join(map(repr, SPLITS))}")
    folder = _wheel_folder()
    return {picture.name: _read(picture, folder) for picture in PICTURES if picture.split == split}


def write_embedded(directory: str | Path, scales: tuple[int, ...] = (2, 3, 4)) -> int:
    """Writes DIR/{train,val}/HR/NAME.png and DIR/{train,val}/LR_bicubic/X{scale}/NAME.png.

    HR pictures are cropped to a multiple of 12, or of the least common multiple with the scales. Scales of an
    earlier call are kept and the new ones added. A second call finds the set complete and writes nothing.

    Returns:
        the number of files written.

    Raises:
        UsageError: no scale or a wrong one.
        OutputError: a folder with other contents, or a disk that refuses.
        MissingDependencyError: as `embedded_pictures`.
    """
    directory = Path(directory)
    if not scales or not all(is_whole(scale, 1) for scale in scales):
        raise UsageError(f"scales must be one or more whole numbers of at least 1, not {scales!r}")
    marker = _read_marker(directory)
    wanted = sorted({*scales, *marker["scales"]})
    if wanted == marker["scales"] and marker["files"] and _all_there(directory, marker["files"]):
        logger.info("%s: %s there already", directory, how_many(len(marker["files"]), "picture"))
        return 0
    try:
        files = _write_files(directory, wanted)
    except OSError as error:
        raise OutputError(f"cannot write below {directory}: {error}; run again once that is mended") from error
    logger.info("%s: wrote %d pictures", directory, len(files))
    return len(files)


def _write_files(directory: Path, scales: list[int]) -> dict[str, int]:
    """Writes all pictures, then the marker that lists them: path below `directory` -> bytes."""
    _write_marker(directory, scales, {})
    files = {}
    for split in SPLITS:
        for name, img in embedded_pictures(split).items():
            hr = modcrop(img, math.lcm(HR_MULTIPLE, *scales))
            outputs = {f"{split}/HR/{name}.png": hr}
            outputs |= {f"{split}/LR_bicubic/X{scale}/{name}.png": bicubic_downsample(hr, scale) for scale in scales}
            for file, output in outputs.items():
                write_png(directory / file, output)
                files[file] = (directory / file).stat().st_size
    _write_marker(directory, scales, files)
    return files


def _wheel_folder() -> Path:
    spec = importlib.util.find_spec("skimage")  # the folder alone is needed, so the package is not imported
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError("the embedded pictures come with scikit-image: pip install scikit-image")
    return Path(spec.submodule_search_locations[0]) / "data"


def _read(picture: Picture, folder: Path) -> np.ndarray:
    try:
        img, _ = read_rgb(folder / picture.file)
    except DataError as error:
        raise MissingDependencyError(
            f"the installed scikit-image has no usable {picture.file} in {folder} ({error}): reinstall it"
        ) from error
    if picture.crop:
        top, left, height, width = picture.crop
        img = img[top : top + height, left : left + width]
    return bicubic_downsample(modcrop(img, picture.shrink), picture.shrink)


def _read_marker(directory: Path) -> dict:
    try:
        return json.loads((directory / MARKER).read_text(encoding="utf-8"))
    except FileNotFoundError:
        if directory.is_dir() and any(not entry.name.startswith(".") for entry in directory.iterdir()):
            raise OutputError(
                f"{directory} is not empty and holds no {MARKER}, so these files are somebody else's: "
                "give an empty or a new folder"
            ) from None
    except NotADirectoryError:
        raise OutputError(f"{directory} is a file: give an empty or a new folder") from None
    except json.JSONDecodeError:
        raise DataError(f"{directory / MARKER} is damaged: delete the folder and run again") from None
    return {"scales": [], "files": {}}


def _write_marker(directory: Path, scales: list[int], files: dict[str, int]) -> None:
    write_text(directory / MARKER, json.dumps({"scales": scales, "files": files}, indent=1))


def _all_there(directory: Path, files: dict[str, int]) -> bool:
    return all(
        (directory / file).is_file() and (directory / file).stat().st_size == size for file, size in files.items()
    )
