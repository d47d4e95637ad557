"""What networks get of a picture set: ready-made inputs, or such that suffered what photographs do."""

import hashlib
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from aethernet.data.photo import PhotoDegradation
from aethernet.errors import DataError
from aethernet.quality.sets import PictureFolder


class DegradedInputs(Mapping[str, np.ndarray]):
    """Inputs for a `PictureFolder`, made as photographs come: reduced, and degraded with a seed from each picture's name."""

    def __init__(self, references: PictureFolder, scale: int, degradation: PhotoDegradation) -> None:
        self.references, self.scale, self.degradation = references, scale, degradation
        self._hash = hashlib.sha256()

    def __getitem__(self, name: str) -> np.ndarray:
        picture = self.references[name]
        rgb = picture if picture.ndim == 3 else np.repeat(picture[:, :, None], 3, axis=2)
        made = self.degradation(rgb, self.scale, np.random.default_rng(zlib.crc32(name.encode())))
        self._hash.update(made.tobytes())
        return made

    @property
    def sha256(self) -> str:
        """Of the pixels of all inputs that were taken, one after the other."""
        return self._hash.hexdigest()

    def __iter__(self) -> Iterator[str]:
        return iter(self.references)

    def __len__(self) -> int:
        return len(self.references)


class InputFolder(Mapping[str, np.ndarray]):
    """Ready-made inputs for a `PictureFolder`, under the same names or with `x{scale}` behind them (babyx4.png)."""

    def __init__(self, folder: str | Path, references: PictureFolder, scale: int) -> None:
        self.pictures = PictureFolder(folder)
        self.names: dict[str, str] = {}
        for name in references:
            candidates = [name, f"{name}x{scale}", f"{name}_x{scale}", f"{name}_LRBI_x{scale}"]
            self.names[name] = next((candidate for candidate in candidates if candidate in self.pictures.paths), "")
            if not self.names[name]:
                raise DataError(f"{folder} has no input for {name}: expected a picture named {' or '.join(candidates)}")

    @property
    def paths(self) -> dict[str, Path]:
        """The file of each input, by the name of its reference."""
        return {name: self.pictures.paths[own] for name, own in self.names.items()}

    def __getitem__(self, name: str) -> np.ndarray:
        return self.pictures[self.names[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)
