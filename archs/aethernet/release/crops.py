"""The crops of the report: where a picture has most detail, cut out of what each run made of it."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from aethernet.data.pictures import png_bytes
from aethernet.plots.detail import most_detailed

CROP = 168
"""Pixels of the enlarged picture: shown at twice that, a crop fits a phone."""
BICUBIC, INT8, ORIGINAL = "bicubic", "int8", "original"
"""What is looked at beside the network's output: that of bicubic and of the int8 file, and the picture itself."""
MOST_CROPS = 6


@dataclass(frozen=True)
class Crop:
    """The same window (left, top, in pixels of the large picture) of one picture from several runs, by their names."""

    title: str
    left: int
    top: int
    windows: Mapping[str, np.ndarray]

    @property
    def side(self) -> int:
        return self.windows[ORIGINAL].shape[0]


@dataclass
class CropCollector:
    """Cuts one window out of every picture while the gate looks at it."""

    crops: list[Crop] = field(default_factory=list)

    def __call__(self, title: str, hr: np.ndarray, outputs: Mapping[str, np.ndarray]) -> None:
        side = min(CROP, *hr.shape[:2])
        top, left = most_detailed(hr, side, side)
        sources = {**outputs, ORIGINAL: hr}
        windows = {name: img[top : top + side, left : left + side].copy() for name, img in sources.items()}
        self.crops.append(Crop(title, left, top, windows))

    def chosen(self, first: Sequence[str]) -> list[Crop]:
        """At most MOST_CROPS: the pictures named `first`, then others spread evenly, in the order of the pictures."""
        leading = [crop for crop in self.crops if crop.title in first]
        others = [crop for crop in self.crops if crop.title not in first]
        room = max(0, min(MOST_CROPS - len(leading), len(others)))
        spread = np.linspace(0, len(others) - 1, room).round().astype(int) if room else []
        taken = {crop.title for crop in leading[:MOST_CROPS]} | {others[index].title for index in spread}
        return [crop for crop in self.crops if crop.title in taken]


def data_uri(content: np.ndarray | bytes, kind: str = "png") -> str:
    """The address of a picture that holds itself: (H, W, 3) RGB uint8, or a file of this kind."""
    data = content if isinstance(content, bytes) else png_bytes(content, compression=9)
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
